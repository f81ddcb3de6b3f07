"""The simulation against the formula where the formula is exact, and what bounds it."""

import math
from dataclasses import replace

import pytest


def work(items=1000, **facts):
    from parameters import Work

    return Work(items, **{"batch_size": 10, **facts})


def simulated(*args, **kwargs):
    from simulation import simulate

    return simulate(*args, **kwargs)


# --- one thing alone takes time: the formula is exact ---------------------------------------------


@pytest.mark.parametrize("workers", [1, 3, 100])
def test_slots_alone(free, workers):
    """100 batches whose answers take 2.5 s, in as many rounds as they need."""
    from analytic import seconds

    these, items = replace(free, workers=workers), work(latency_s=2.5)
    expected = math.ceil(100 / min(100, 8 * workers)) * 2.5
    assert simulated(these, items).seconds == pytest.approx(expected)
    assert seconds(these, items) == pytest.approx(expected)


def test_pods_that_start_slowly_alone(free):
    """Each task, fetch and process, holds its slot for the start of its pod; so do six others."""
    from analytic import seconds

    these = replace(free, workers=100, start_wait_s=4.0)
    assert simulated(these, work()).seconds == pytest.approx((6 + 2) * 4.0)
    assert seconds(these, work()) == pytest.approx((6 + 2) * 4.0)


@pytest.mark.parametrize(("workers", "hosts", "used"), [(1, 0, 4), (3, 0, 12), (3, 1, 4)])
def test_cores_alone(free, workers, hosts, used):
    """Workers on one machine share its cores; others have their own."""
    from analytic import seconds

    these = replace(free, workers=workers, hosts=hosts, cores=4.0, fetch_item_s=0.01)
    items = work(1200)
    assert simulated(these, items).seconds == pytest.approx(12 / used)
    assert seconds(these, items) == pytest.approx(12 / used)


@pytest.mark.parametrize(("together", "expected"), [(1, 20.0), (5, 4.0)])
def test_the_quota_by_the_second_alone(free, together, expected):
    from analytic import seconds

    items = work(per_second=50.0, items_per_request=together)
    assert simulated(free, items).seconds == pytest.approx(expected)
    assert seconds(free, items) == pytest.approx(expected)


@pytest.mark.parametrize(("per_hour", "hours"), [(1000, 0), (999, 1), (200, 4), (130, 7)])
def test_the_quota_by_the_hour_alone(free, per_hour, hours):
    """What is left when an hour's requests are spent waits for the next hour, and so on."""
    from analytic import seconds

    items = work(per_hour=per_hour)
    outcome = simulated(free, items)
    assert outcome.seconds == pytest.approx(hours * 3600)
    assert seconds(free, items) == pytest.approx(hours * 3600)
    assert outcome.requests == 1000


def test_a_scheduler_alone(free):
    """Every task is queued by itself: 100 batches twice, and seven others one by one."""
    from analytic import scheduler

    these = replace(free, workers=100, queue_s=0.5)
    assert simulated(these, work()).seconds == pytest.approx((200 + 7) * 0.5)
    assert scheduler(these, work()) == pytest.approx(200 * 0.5)


def test_consolidate_alone(free):
    from analytic import seconds

    these = replace(free, workers=100, consolidate_item_s=0.02)
    assert simulated(these, work()).seconds == pytest.approx(20)
    assert seconds(these, work()) == pytest.approx(20)


def test_the_table_takes_one_load_at_a_time(free):
    these = replace(free, load_item_s=0.01)
    assert simulated(these, work(400, shards=4)).seconds == pytest.approx(4)


def test_the_shared_directory_alone(free):
    these = replace(free, bytes_per_item=100.0, bytes_per_s=1000.0)
    outcome = simulated(these, work(300))
    assert outcome.seconds == pytest.approx(30)
    assert outcome.written == 30_000


def test_the_database_alone(free):
    these = replace(
        free, workers=100, task_statements=5.0, wait_statements=0.0, statements_per_s=100.0
    )
    outcome = simulated(these, work())
    assert outcome.statements == pytest.approx(5 * 207)
    assert outcome.seconds == pytest.approx(5 * 207 / 100, rel=0.01)


def test_a_look_at_a_run_that_waits_costs_what_waits_in_it(free):
    """A scheduler that looks cannot queue; of two, one looks and the other queues."""
    one = replace(free, workers=1, wait_s=0.01, parallelism=8)
    items = work(latency_s=1.0)
    two = replace(one, schedulers=2)
    alone, both = (simulated(each, items).seconds for each in (one, two))
    # 13 rounds of 8: before each the scheduler looks, with ever fewer batches that wait.
    assert alone == pytest.approx(13 * 1.0 + sum(0.01 * (100 - 8 * n) for n in range(13)), rel=0.1)
    assert both < alone - 2


# --- what bounds it, and what is told ---------------------------------------------------------


def test_the_bottleneck_is_named(free):
    quick = replace(free, workers=4)
    assert simulated(quick, work(latency_s=5.0)).bottleneck == "slots"
    assert simulated(quick, work(latency_s=5.0, per_second=1.0)).bottleneck == "quota"
    few = replace(quick, cores=1.0, process_item_s=1.0)
    assert simulated(few, work()).bottleneck == "cores"
    assert simulated(replace(quick, consolidate_item_s=1.0), work()).bottleneck == "single tasks"


def test_a_spent_quota_gives_the_slots_back(free):
    """The fetches wait for four hours, and hold their slots for next to none of it."""
    these = replace(free, task_cpu_s=1.0)
    outcome = simulated(these, work(per_hour=200))
    assert outcome.deferrals > 0
    assert outcome.use["slots"] < 0.05
    assert outcome.tries == 207 + outcome.deferrals


def test_a_short_wait_keeps_the_slot(free):
    these = replace(free, defer_after_s=7200.0)
    outcome = simulated(these, work(per_hour=200))
    assert outcome.deferrals == 0
    assert outcome.use["slots"] > 0.5


def test_the_same_seed_gives_the_same_result():
    from parameters import Cluster

    items = work(latency_s=0.3)
    first, again, other = (simulated(Cluster(), items, seed) for seed in (7, 7, 8))
    assert first.seconds == again.seconds
    assert first.runs == again.runs
    assert first.seconds != other.seconds


def test_runs_of_one_dag_follow_each_other(free):
    items = work(400, shards=4, latency_s=1.0, in_turn=True)
    runs = simulated(replace(free, workers=100), items).runs
    assert [start for start, _ in runs] == pytest.approx([0, 1, 2, 3])
    together = simulated(replace(free, workers=100), replace(items, in_turn=False)).runs
    assert [start for start, _ in together] == [0, 0, 0, 0]


def test_late_tasks_go_first_where_that_is_asked_for(free):
    """Fetches of all runs before the first consolidate, or a run to its end before the next.

    Only what the scheduler still holds is put in order: the queue before the workers is not.
    """
    these = replace(free, workers=1, slots=1, parallelism=1)
    items = work(200, shards=2, latency_s=1.0)
    default = simulated(these, items)
    finish = simulated(these, replace(items, finish_first=True))
    assert min(end for _, end in default.runs) == pytest.approx(20)
    assert min(end for _, end in finish.runs) < 20
    assert default.seconds == finish.seconds


def test_a_few_tasks_in_the_queue_keep_slots_from_waiting_for_a_scheduler(free):
    """With as many tasks as slots, each slot that is given back waits for a scheduler's next pass."""
    these = replace(free, workers=4, idle_sleep_s=0.5, task_cpu_s=0.2, max_active_tasks=32)
    assert (
        simulated(replace(these, max_active_tasks=48), work()).seconds
        < simulated(these, work()).seconds
    )
