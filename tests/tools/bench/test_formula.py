"""The formula of docs/scaling.md."""

import pytest


def local():
    from formula import Cluster

    limits = {"parallelism": 24, "max_active_tasks": 6, "idle_sleep_s": 0.2, "round_trip_s": 0.0}
    return Cluster(workers=1, slots=6, cores=2.0, hosts=1, schedulers=1, **limits)


@pytest.mark.parametrize(
    ("work", "measured"),
    [
        ({"items": 10_000}, 10.6),
        ({"items": 5_000, "batch_size": 1_250, "concurrency": 25, "latency_s": 0.05}, 8.1),
        ({"items": 4_000, "batch_size": 1_000, "per_second": 250.0}, 22.5),
        ({"items": 5_000, "batch_size": 5_000}, 8.5),
    ],
    ids=["cores", "latency", "quota", "one batch"],
)
def test_the_formula_is_within_a_tenth_of_the_runs_measured_in_docs_performance(work, measured):
    from formula import Work, seconds

    assert seconds(local(), Work(**work)) == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(
    ("workers", "simulated"), [(1, 29 * 60), (2, 15 * 60), (4, 493), (8, 287), (16, 194)]
)
def test_the_formula_is_within_a_twentieth_of_the_simulation_in_docs_scaling(workers, simulated):
    from formula import Cluster, Work, seconds

    cluster = Cluster().with_workers(workers)
    million = Work(1_000_000, latency_s=0.2)
    assert seconds(cluster, million) == pytest.approx(simulated, rel=0.05)


def test_each_resource_bounds_the_run_that_exhausts_it():
    from formula import Cluster, Work, bounds

    def bound_by(cluster, **work):
        found = bounds(cluster, Work(100_000, **work))
        return max(found, key=found.__getitem__)

    assert bound_by(Cluster(), latency_s=0.2) == "slots"
    assert bound_by(Cluster(), latency_s=0.2, per_second=100.0) == "quota"
    assert bound_by(Cluster(cores=0.5)) == "cores"
    assert bound_by(Cluster(workers=50, schedulers=1, cores=100.0), batch_size=120) == "scheduler"
