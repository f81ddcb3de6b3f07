"""Heavy queries of the run page run one at a time."""

from __future__ import annotations

import threading

import pytest

from fanfold.airflow.page import heavy as page
from fanfold.airflow.page.heavy import heavy
from fanfold.airflow.page.refusal import Refusal
from fanfold.errors import BadInput, BadPipeline


def test_others_wait_for_a_heavy_query_and_few_may(monkeypatch):
    ran = []

    def other():
        with heavy():
            ran.append(1)

    waiting = [threading.Thread(target=other) for _ in range(4)]
    with heavy():
        for thread in waiting:
            thread.start()
        while page._waiting._value:
            pass
        with pytest.raises(Refusal) as refused, heavy():
            pass
        assert (refused.value.status, refused.value.body.code) == (503, "busy")
        assert not ran
    for thread in waiting:
        thread.join()
    assert len(ran) == 4
    monkeypatch.setattr(page, "_WAIT", 0.01)
    with heavy():
        thread = threading.Thread(target=pytest.raises, args=(Refusal, other))
        thread.start()
        thread.join()
    for error, code in ((BadInput("no column"), "unfit"), (BadPipeline("memory"), "too_heavy")):
        with pytest.raises(Refusal) as refused, heavy():
            raise error
        assert refused.value.body.code == code
    assert len(ran) == 4
    other()
