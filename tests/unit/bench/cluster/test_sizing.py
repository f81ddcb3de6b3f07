"""The smallest cluster that is enough, and what stands in the way where none is."""

from dataclasses import replace

import pytest


def work(items=1000, **facts):
    from parameters import Work

    return Work(items, **{"batch_size": 10, "latency_s": 5.0, **facts})


@pytest.mark.parametrize(
    ("seconds", "workers"), [(501, 1), (65, 1), (64, 2), (35, 2), (34, 3), (10, 7)]
)
def test_one_worker_fewer_would_be_too_late(free, seconds, workers):
    """100 batches of 5 s, 8 at once for each worker: 13 rounds with one, 7 with two, 2 with seven."""
    from sizing import smallest

    answer = smallest(free, work(), seconds)
    assert answer.workers == workers
    assert answer.outcome.seconds <= seconds


def test_a_short_last_batch_needs_no_worker_of_its_own(free):
    """The first guess takes all batches for whole ones: 35 s and 5 s, where it says twice 35."""
    from sizing import smallest

    these = replace(free, slots=1)
    assert smallest(these, work(101, batch_size=100), 40).workers == 1


def test_a_quota_that_no_worker_helps_against_is_named(free):
    from sizing import smallest

    answer = smallest(free, work(per_second=10.0), 60)
    assert answer.workers is None
    assert answer.why == "quota: its requests alone take 100 s"


def test_single_tasks_that_no_worker_helps_against_are_named(free):
    from sizing import smallest

    answer = smallest(replace(free, consolidate_item_s=1.0), work(), 600)
    assert answer.why == "single tasks: they alone take 1,000 s"


def test_a_day_is_planned_so_that_no_run_is_late(free):
    """A run of 10 batches needs 50 s of one slot and begins each 5 s: ten slots keep up, eight do not."""
    from sizing import for_a_day

    of_a_day = work(4800, shards=48, every_s=5.0)
    answer = for_a_day(free, of_a_day, longest=12)
    assert answer.workers == 2
    assert len(answer.outcome.runs) == 48
    assert answer.outcome.longest <= 12


def test_the_first_runs_of_a_day_are_as_large_as_all_of_them():
    from sizing import day, first_runs

    whole = day(work(4800, shards=48), 3600)
    some = first_runs(whole, 12)
    assert (some.shards, some.run_items(0), some.every_s) == (12, whole.run_items(0), whole.every_s)
    assert whole.every_s * 48 == pytest.approx(3600 * 0.9)


def test_what_the_plan_depends_on_is_tried_half_as_bad_again(free):
    from sizing import UNCERTAIN, sensitivity

    rates = {"statements_per_s": 100_000.0, "files_per_s": 100_000.0}
    found = list(sensitivity(free.changed(rates), work()))
    assert [each.name for each in found] == list(UNCERTAIN)
    value = {each.name: each.value for each in found}
    assert value["latency_s"] == 7.5
    assert value["statements_per_s"] == pytest.approx(66_667, rel=0.01)
    slow, *others = (each.outcome.seconds for each in found)
    assert slow == pytest.approx(1.5 * others[0], rel=0.01)
