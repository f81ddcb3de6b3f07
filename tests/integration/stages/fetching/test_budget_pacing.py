"""The arithmetic of the budget, in time that is only counted: exact, full, and the same in Redis."""

from __future__ import annotations

import itertools
import json
import random

import pytest
import redis

from fanfold.errors import BadConfiguration
from fanfold.stages.fetching.budget.pacing import HOUR, SECOND, Lane, Lease, Refusal, State, Terms
from fanfold.stages.fetching.budget.redis_store import RedisStore


def greedy(rate, seconds, threads=20):
    """Return the slots that a task gets which asks whenever it may."""
    terms = Terms.of(rate, None)
    state = State(0)
    now = 0
    slots = []
    while now < seconds * SECOND:
        answer = state.take(now, terms, threads)
        if isinstance(answer, Lease):
            slots += answer.slots
        else:
            assert answer.wait > 0
            now += answer.wait
    return slots


@pytest.mark.parametrize("rate", [0.1, 0.5, 1, 1.9, 2.5, 5, 20, 50, 333, 1000])
def test_no_window_has_too_many_and_little_is_left_unused(rate):
    slots = greedy(rate, max(10, 40 / rate))
    lane = Lane.of(rate)
    assert all(
        later - slot > lane.window for slot, later in zip(slots, slots[lane.limit :], strict=False)
    )
    assert lane.window / lane.limit >= 1.03 * SECOND / rate
    assert len(slots) >= 0.955 * rate * (slots[-1] - slots[0]) / SECOND


def test_requests_of_a_second_do_not_come_at_once():
    slots = greedy(100, 5)
    assert min(later - slot for slot, later in itertools.pairwise(slots)) > 8_000


def test_what_was_missed_is_made_up_for():
    """A task that sleeps for a tenth of a second now and then still gets its budget."""
    terms = Terms.of(100, None)
    state = State(0)
    now = 0
    given = 0
    while now < 20 * SECOND:
        answer = state.take(now, terms, 1)
        if isinstance(answer, Lease):
            given += 1
            now += SECOND // 10 if given % 100 == 0 else 0
        else:
            now += answer.wait
    assert given >= 0.94 * 100 * 20


@pytest.mark.parametrize("count", [150, 100_000])
def test_an_hour_has_no_more_than_its_budget_and_its_record_stays_small(count):
    terms = Terms.of(None, count)
    state = State(0)
    now = 0
    slots = []
    while now < 3 * HOUR:
        answer = state.take(now, terms, 40)
        if isinstance(answer, Lease):
            slots += answer.slots
            now += SECOND
        else:
            assert answer.why == "hour"
            now += answer.wait
    over = zip(slots, slots[count:], strict=False)
    assert all(later - slot > 3600 * SECOND for slot, later in over)
    assert len(slots) >= 2.9 * min(count, 3600 * 40)
    assert len(json.dumps(state.to_json())) < 4096


def test_leave_that_was_not_used_goes_back_to_the_hour():
    terms = Terms.of(None, 10)
    state = State(0)
    assert len(state.take(0, terms, 10).slots) == 10
    assert isinstance(state.take(0, terms, 1), Refusal)
    assert len(state.take(0, terms, 10, unused=(0, 0, 0)).slots) == 3


def test_a_slot_that_went_by_is_moved_and_makes_nothing_too_much():
    terms = Terms.of(5, None)
    lane = terms.lane
    state = State(0)
    slots = [
        slot for at in range(0, SECOND, SECOND // 5) for slot in state.take(at, terms, 1).slots
    ]
    moved = state.move(slots[-1] + 60_000, lane, slots[-1])
    slots[-1] = moved.slots[0]
    assert slots[-1] == moved.now
    now = moved.now
    while now < 4 * SECOND:
        answer = state.take(now, terms, 1)
        if isinstance(answer, Lease):
            slots += answer.slots
        else:
            now += answer.wait
    assert all(later - slot > lane.window for slot, later in zip(slots, slots[5:], strict=False))


@pytest.mark.parametrize("value", [0, -1, 1e-9, float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["requests_per_second", "requests_per_hour"])
def test_a_budget_that_cannot_be_meant_is_refused_by_name(key, value):
    given = {"requests_per_second": None, "requests_per_hour": None, key: value}
    with pytest.raises(BadConfiguration, match=key):
        Terms.of(**given)


def test_a_slot_that_is_moved_after_redis_lost_all_costs_the_others_their_pause(redis_server):
    """As with a file: what the last window held is not known any more."""
    terms = Terms.of(40, None)
    store = RedisStore.at(redis_server.url, "c", terms)
    try:
        (_, now, _, _) = store.script(keys=[store.key], args=("look",))
        moved = store.move(now, 0).given
        assert isinstance(moved, Lease)
        refused = store.take(1, [], 0).given
    finally:
        store.close()
    assert (refused.why, refused.wait > terms.lane.window // 2) == ("pace", True)


def test_the_script_in_redis_answers_as_the_arithmetic_here_does(redis_server):
    """The same questions to both, by the time that Redis told: the same answers."""
    seed = random.randrange(10**9)
    dice = random.Random(seed)
    tasks = [Terms.of(40, 300), Terms.of(200, 300), Terms.of(None, 300), Terms.of(7.5, None)]
    store = RedisStore.at(redis_server.url, "c", tasks[0])
    state = None
    kinds = set()
    leased = []
    try:
        number = -1
        while number < 1500 or (len(kinds) < 4 and number < 50_000):
            number += 1
            terms = dice.choice(tasks)
            lane = terms.lane.name if terms.lane else ""
            wanted = dice.randrange(1, 12)
            unused = [leased.pop() for _ in range(dice.choice((0, 0, 0, 1, 3))) if leased]
            slack = dice.choice((0, 0, 5000))
            # What is refused before there is a state leaves none: it begins with a take.
            if terms.lane and state is not None and dice.random() < 0.1:
                arguments = ("move", lane, 0, slack)
                (_, now, _, _) = store.script(keys=[store.key], args=("look",))
                slot = now - dice.randrange(450_000)
                arguments = ("move", lane, slot, slack)
            elif number % 100 == 50:
                arguments = ("hold", dice.randrange(20_000), "because")
            else:
                arguments = ("take", lane, terms.per_hour or 0, wanted, slack, *unused)
            kind, now, wait, more = store.script(keys=[store.key], args=arguments)
            state = state or State.after_loss(now, terms.lane)
            if arguments[0] == "hold":
                state.hold(now, arguments[1], "because")
                continue
            expected = (
                state.move(now, terms.lane, slot, slack)
                if arguments[0] == "move"
                else state.take(now, terms, wanted, unused, slack)
            )
            if isinstance(expected, Lease):
                assert (kind, tuple(more)) == (b"lease", expected.slots), (seed, number)
                leased = [slot + slack for slot in more]
            else:
                told = (kind.decode(), wait, more.decode())
                assert told == (expected.why, expected.wait, expected.reason), (seed, number)
            kinds.add(kind)
    except redis.RedisError as error:
        pytest.fail(f"seed {seed}: {error}")
    finally:
        store.close()
    assert kinds == {b"lease", b"pace", b"hour", b"hold"}
