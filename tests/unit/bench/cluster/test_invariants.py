"""What always holds of a simulation, whatever the work is."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st


def simulated(*args, **kwargs):
    from simulation import simulate

    return simulate(*args, **kwargs)


WORK = st.builds(
    dict,
    items=st.integers(1, 600),
    shards=st.integers(1, 3),
    batch_size=st.integers(1, 40),
    every_s=st.sampled_from([0.0, 3.0]),
    latency_s=st.sampled_from([0.0, 0.7]),
    items_per_request=st.sampled_from([1, 3]),
    per_second=st.sampled_from([0.0, 40.0]),
    in_turn=st.booleans(),
    finish_first=st.booleans(),
)
RUNS = settings(deadline=None, max_examples=40)


def made(facts):
    from parameters import Work

    items = max(facts["items"], facts["shards"])
    return Work(**facts | {"items": items})


@RUNS
@given(WORK, st.sampled_from([0, 50, 170]))
def test_each_batch_is_fetched_and_processed_once(facts, per_hour):
    from parameters import Cluster

    items = replace(made(facts), per_hour=per_hour)
    outcome = simulated(Cluster(), items)
    batches = {
        (step, run, number)
        for run in range(items.shards)
        for number in range(len(items.batches(run)))
        for step in ("fetch", "process")
    }
    singles = {"preflight", "read_items", "plan", "consolidate", "publish", "load", "report"}
    assert set(outcome.done) == batches | {
        (step, run, -1) for run in range(items.shards) for step in singles
    }
    assert set(outcome.done.values()) == {1}
    assert outcome.fetched == items.items
    assert len(outcome.runs) == items.shards


@RUNS
@given(WORK, st.integers(20, 200))
def test_no_hour_has_more_requests_than_the_quota(facts, per_hour):
    """However the requests lie between leave and answer: the worst case of any hour."""
    from parameters import Cluster

    outcome = simulated(Cluster(), replace(made(facts), per_hour=per_hour))
    leaves = outcome.quota.history
    assert sum(leave.count for leave in leaves) == outcome.requests
    for first in leaves:
        # An hour that begins with the last moment of one leave, and all that may lie in it.
        within = [
            leave.count
            for leave in leaves
            if leave.ended >= first.ended and leave.given < first.ended + 3600
        ]
        assert sum(within) <= per_hour


@RUNS
@given(WORK, st.integers(1, 4))
def test_no_second_has_more_requests_than_the_quota(facts, workers):
    from parameters import Cluster

    items = replace(made(facts), per_second=30.0)
    outcome = simulated(replace(Cluster(), workers=workers), items)
    assert outcome.seconds >= outcome.requests / 30


@RUNS
@given(facts=WORK, workers=st.integers(1, 4), more=st.integers(1, 4))
def test_more_workers_are_never_slower(facts, workers, more):
    """But for the anomalies of lists: another order, and a long task may come last in a run."""
    from parameters import Cluster

    items = made(facts)
    costs = {"idle_sleep_s": 0, "pass_s": 0, "examine_s": 0, "wait_s": 0, "queue_s": 0}
    these = Cluster().changed({**costs, "parallelism": 9999, "max_active_tasks": 9999})
    few, many = (
        simulated(replace(these, workers=count), items).seconds
        for count in (workers, workers + more)
    )
    longest = 1.0 + math.ceil(40 / items.concurrency) * items.latency_s
    assert many <= 1.1 * few + items.shards * longest
