"""Parts are bounded in bytes, and so are the records that wait to be written."""

import threading

import pytest

from fanfold.model import Outcome, Status
from fanfold.stages.fetching.parts import BACKLOG_BYTES, PART_BYTES, Backlog, PartBuffer, size_of


def result(length):
    return Outcome("key", Status.OK), [{"text": "x" * length, "more": [None, 1.5, {"é": True}]}]


def test_a_part_is_due_when_its_records_have_enough_bytes():
    buffer = PartBuffer()
    found = result(PART_BYTES // 3)
    assert PART_BYTES // 3 < size_of([found]) < PART_BYTES // 3 + 100
    for _ in range(2):
        buffer.add([found, (Outcome("gone", Status.MISSING), None)])
        assert buffer.take() is None
    buffer.add([found])
    assert len(buffer.take()) == 5
    buffer.add([found])
    assert buffer.take() is None


@pytest.mark.parametrize("stopped", [False, True])
def test_no_request_is_sent_until_what_came_is_written_or_the_fetch_stops(stopped):
    backlog, stop = Backlog(), threading.Event()
    backlog.wait(stop)
    size = backlog.add([result(BACKLOG_BYTES)])
    waiting = threading.Thread(target=backlog.wait, args=[stop])
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    if stopped:
        stop.set()
    backlog.written(0 if stopped else size)
    waiting.join(10)
    assert not waiting.is_alive()
