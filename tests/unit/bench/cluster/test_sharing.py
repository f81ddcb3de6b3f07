"""What several tasks use at once is shared evenly, and nothing of it is lost."""

import math

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st


def ends(capacity, each, jobs):
    """Return when each of the jobs, which are (start, work), is done."""
    from sharing import Shared

    env = simpy.Environment()
    shared = Shared(env, capacity, each)
    found = {}

    def job(number, start, work):
        yield env.timeout(start)
        yield shared.use(work)
        found[number] = env.now

    for number, (start, work) in enumerate(jobs):
        env.process(job(number, start, work))
    env.run()
    return [found[number] for number in range(len(jobs))], shared


def test_two_that_come_together_take_twice_as_long():
    assert ends(1, math.inf, [(0, 3), (0, 3)])[0] == [6, 6]


def test_who_comes_later_slows_down_who_is_there():
    # Alone for a second; then both at half the pace until the first is done at 3.
    assert ends(1, math.inf, [(0, 2), (1, 2)])[0] == pytest.approx([3, 4])


def test_one_process_never_works_on_more_than_one_core():
    assert ends(4, 1, [(0, 3)])[0] == [3]
    assert ends(4, 1, [(0, 3)] * 8)[0] == [6] * 8


def test_what_has_no_limit_takes_no_time():
    assert ends(math.inf, math.inf, [(2, 1000)])[0] == [2]


def test_no_work_is_done_at_once():
    assert ends(1, math.inf, [(0, 5), (1, 0)])[0] == [5, 1]


JOBS = st.lists(st.tuples(st.floats(0, 50), st.floats(0.01, 20)), min_size=1, max_size=20)


@settings(deadline=None, max_examples=60)
@given(JOBS, st.floats(0.5, 8))
def test_it_is_busy_as_long_as_anybody_waits(jobs, capacity):
    """The last is done when all work since the last idle moment is: nothing is lost or done twice."""
    done, shared = ends(capacity, math.inf, jobs)
    clock = 0.0
    for start, work in sorted(jobs):
        clock = max(clock, start) + work / capacity
    assert max(done) == pytest.approx(clock)
    assert shared.done == pytest.approx(sum(work for _, work in jobs))
