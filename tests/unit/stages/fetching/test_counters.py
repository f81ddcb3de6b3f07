"""Request counters: each request and wait is reported once."""

from __future__ import annotations

import threading

import pytest

from fanfold.stages.fetching.counters import Counters, RequestCounters


@pytest.fixture
def reports():
    return []


@pytest.fixture
def counters(reports):
    return RequestCounters(reports.append)


def test_a_request_counts_only_with_a_permit_and_its_wait_in_any_case(counters, reports):
    counters.permit(1.5, granted=True)
    counters.permit(2.0, granted=False)
    counters.retry(0.25, "503")
    counters.retry(0.5, "unavailable")
    counters.flush()
    assert reports == [Counters(requests=1, retries=2, waited=3.5, backed_off=0.75)]


def test_nothing_is_reported_twice_and_no_empty_report_is_made(counters, reports):
    counters.permit(0.0, granted=True)
    counters.flush()
    counters.flush()
    counters.permit(0.5, granted=True)
    counters.flush()
    assert reports == [Counters(requests=1), Counters(requests=1, waited=0.5)]


@pytest.mark.parametrize("other", ["counts", "reports"])
def test_a_count_is_not_lost_to_what_another_thread_does_meanwhile(counters, reports, other):
    act = {"counts": lambda: counters.permit(1.0, granted=True), "reports": counters.flush}[other]
    thread = threading.Thread(target=act)

    class Meanwhile(float):
        """Seconds that let the other thread run, if it can, while they are added."""

        def __radd__(self, so_far):
            thread.start()
            thread.join(0.2)
            return so_far + float(self)

    counters.permit(Meanwhile(2.0), granted=True)
    thread.join()
    counters.flush()
    requests, waited = (2, 3.0) if other == "counts" else (1, 2.0)
    assert sum(each.requests for each in reports) == requests
    assert sum(each.waited for each in reports) == waited
