"""A quota by the hour holds in every hour."""

import pytest
import simpy


@pytest.fixture
def quota():
    from quota import Hourly

    env = simpy.Environment()
    return env, Hourly(env, 100)


def test_what_is_left_is_given_at_once(quota):
    _, hourly = quota
    hourly.take(60)
    assert hourly.wait(40) == 0
    assert hourly.wait(41) > 0


def test_requests_count_for_an_hour_after_their_answer(quota):
    env, hourly = quota
    first = hourly.take(60)
    env.run(until=10)
    hourly.end(first)
    hourly.end(hourly.take(40))
    assert hourly.wait(30) == pytest.approx(3600)
    env.run(until=3609.9)
    assert hourly.wait(30) > 0
    env.run(until=3610)
    assert hourly.wait(30) == 0


def test_what_was_answered_first_makes_room_first(quota):
    env, hourly = quota
    slow, quick = hourly.take(50), hourly.take(50)
    env.run(until=5)
    hourly.end(quick)
    env.run(until=100)
    hourly.end(slow)
    assert hourly.wait(50) == pytest.approx(3505)
    assert hourly.wait(51) == pytest.approx(3600)


def test_requests_under_way_are_waited_for_an_hour_at_most(quota):
    _, hourly = quota
    hourly.take(100)
    assert hourly.wait(1) == 3600


def test_a_batch_asks_for_a_twentieth_of_the_quota_at_most(quota):
    _, hourly = quota
    assert hourly.largest(2500) == 5
    assert hourly.largest(3) == 3


def test_without_a_quota_nobody_waits():
    from quota import Hourly

    hourly = Hourly(simpy.Environment(), 0)
    hourly.take(1_000_000)
    assert hourly.wait(1_000_000) == 0
    assert hourly.largest(2500) == 2500
