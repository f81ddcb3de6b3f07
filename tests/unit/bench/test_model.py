"""The model of a run's time."""

import pytest


def shape(**facts):
    from model import Shape

    return Shape(
        **{"items": 1000, "batches": 4, "concurrency": 10, "workers": 6, "cores": 2} | facts
    )


def constants():
    from model import Constants

    return Constants(fixed_s=5.0, fold_s=0.0001, batch_s=0.5, item_s=0.001)


@pytest.mark.parametrize(
    ("facts", "seconds"),
    [
        ({}, 5 + 0.1 + 1 + 0.5),
        ({"batches": 1}, 5 + 0.1 + 0.5 + 1),
        ({"latency_s": 0.05}, 5 + 0.1 + 1 + 1.25),
        # Seven batches for six workers: two rounds of 143 items.
        ({"batches": 7, "latency_s": 0.5}, 5 + 0.1 + 1.75 + 14.3),
        ({"requests_per_second": 100.0, "latency_s": 0.05}, 5 + 0.1 + 1 + 10),
    ],
    ids=["processors", "one batch", "latency", "a second round", "quota"],
)
def test_the_slowest_of_work_latency_and_quota_decides(facts, seconds):
    from model import predict

    assert predict(constants(), shape(**facts)) == pytest.approx(seconds)


def test_the_constants_come_back_from_runs_that_obey_them():
    from dagruns import Phases
    from model import FITTED, fit, predict

    known = constants()
    runs = []
    for items, batches in FITTED:
        each = shape(items=items, batches=batches)
        serial = known.fixed_s + known.fold_s * items
        runs.append((each, Phases(2.0, predict(known, each) - serial, serial - 2.0)))
    found = fit(runs)
    assert (found.fixed_s, found.fold_s, found.batch_s, found.item_s) == pytest.approx(
        (5.0, 0.0001, 0.5, 0.001)
    )
