import pytest

from fanfold.local.restarts import MOST_DEATHS, WINDOW_S, Restarts


@pytest.fixture
def restarts():
    return Restarts()


def test_the_first_death_is_made_good_at_once_the_next_ones_after_longer_and_longer(restarts):
    waits = []
    for _ in range(MOST_DEATHS - 1):
        wait = restarts.died("s3", 100.0)
        waits.append(wait)
        assert restarts.due(100.0 + wait) == ["s3"]
        assert wait == 0 or restarts.due(99.9 + wait) == []
        restarts.began("s3")
    assert waits == [0, 1, 2, 4]


def test_a_component_that_keeps_dying_is_given_up_and_the_others_are_not(restarts):
    for _ in range(MOST_DEATHS - 1):
        assert restarts.died("s3", 100.0) is not None
        restarts.began("s3")
    assert restarts.died("simulator", 100.0) == 0
    assert restarts.died("s3", 100.0) is None


def test_deaths_of_long_ago_do_not_count(restarts):
    for number in range(3 * MOST_DEATHS):
        now = number * (WINDOW_S / 2)
        assert restarts.died("s3", now) is not None
        restarts.began("s3")


def test_a_component_is_due_until_it_has_begun_and_its_starts_are_counted(restarts):
    restarts.died("scheduler", 1.0)
    restarts.begin_with("triggerer", 1.0)
    assert restarts.due(2.0) == restarts.due(3.0) == ["scheduler", "triggerer"]
    restarts.began("scheduler")
    assert restarts.due(3.0) == ["triggerer"]
    restarts.died("scheduler", 4.0)
    restarts.began("scheduler")
    assert restarts.counts == {"scheduler": 2}
