"""Functions of a cloud as the map step: the rows are those of the API, and faults cost what they must."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from fanfold import testing
from fanfold.simulator import people
from fanfold.simulator.process import running
from fanfold.simulator.sample import connections, user_ids
from fanfold.simulator.settings import FUNCTIONS
from pipelines.function_map import PIPELINE
from pipelines.weibo_user_profiles import PIPELINE as BY_API

REPEATED = [
    "busy", "http_500", "http_502", "http_503", "http_429", "odd_retry_after", "drop", "drop_mid",
    "reset_mid", "not_http", "bad_chunks", "chunked", "throttle", "function_timeout",
]  # fmt: skip
"""Faults after which a call, or the request of a function, is repeated."""
ENDS = {
    "function_error": "RuntimeError: the simulator injected this error",
    "function_too_large": "Function.ResponseSizeTooLarge: Response payload size (7000000 bytes)",
}
"""Faults that cost the user, and the reason."""
AS_OF = datetime(2026, 8, 1, tzinfo=UTC)
USERS = user_ids(30)


@pytest.fixture(scope="module")
def simulator():
    with running() as simulator, pytest.MonkeyPatch.context() as patch:
        for name, fields in connections(simulator.url, simulator.token).items():
            patch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))
        yield simulator


@pytest.fixture(scope="module")
def by_api(simulator):  # noqa: ARG001 - its connections
    return testing.run(BY_API, USERS, as_of=AS_OF, charts=False)


def dataset(result):
    return {file.key: file.sha256 for file in result.manifest.files if file.table}


@pytest.mark.parametrize("service", ["lambda", "scf"])
def test_its_dataset_is_that_of_the_api(service, simulator, by_api, monkeypatch):
    if service == "scf":
        fields = {"conn_type": "http", "host": simulator.url, "login": "simulator"}
        extra = {"service": "scf", "region": "ap-guangzhou"}
        fields |= {"password": simulator.token, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_FUNCTION_DEFAULT", json.dumps(fields))
    found = testing.run(PIPELINE, USERS, as_of=AS_OF, charts=False)
    names = ["status", "reason"]
    pd.testing.assert_frame_equal(
        found.outcomes[names].sort_index(), by_api.outcomes[names].sort_index()
    )
    assert dataset(found) == dataset(by_api), "the same bytes"
    assert 0 < found.manifest.gb_seconds < len(USERS)


def test_its_functions_read_each_value_as_the_pipeline_of_the_api_does():
    """Simulated profiles with all their edge cases, and the strange and broken values of its tests."""
    process = runpy.run_path(str(FUNCTIONS / "process_user.py"))["handler"]
    cases = runpy.run_path(str(Path(__file__).with_name("test_weibo_user_profiles.py")))
    fields = cases["FIELDS"]
    changes = [change for change, _ in cases["READ"]]
    changes += [{fields.get(name, name): value} for name, value in cases["BROKEN"]]
    profiles = [people.profile(uid) for uid in map(str, range(1404376560, 1404376860))]
    profiles += [{**cases["GOOD"], "id": people.FIRST_UID + n, **c} for n, c in enumerate(changes)]
    by_api, by_functions = (
        testing.run(pipeline, records=records, as_of=AS_OF, charts=False)
        for pipeline, records in (
            (BY_API, {str(each["id"]): [each] for each in profiles}),
            (
                PIPELINE,
                {
                    str(each["id"]): [
                        process({"user_id": each["id"], "profile": each}, None)["user"]
                    ]
                    for each in profiles
                },
            ),
        )
    )
    pd.testing.assert_frame_equal(by_functions.rows, by_api.rows)
    names = ["item", "column", "rule"]
    pd.testing.assert_frame_equal(by_functions.rejected[names], by_api.rejected[names])
    assert len(by_api.rows) > 300
    assert len(by_api.rejected) == len(cases["BROKEN"])


def test_each_user_has_the_right_outcome_although_calls_fail(simulator, by_api):
    """A fifth of all answers have a fault, those of the API that a function calls, too."""
    rates = dict.fromkeys(REPEATED, 0.08 / len(REPEATED))
    rates |= dict.fromkeys(["throttle", "function_timeout", *ENDS], 0.03)
    simulator.reset()
    simulator.control(error_rate=rates, retry_after_s=0, seed=3)
    found = testing.run(PIPELINE, USERS, as_of=AS_OF, charts=False)
    faults = simulator.stats()["faults"]
    simulator.reset()
    failed = found.outcomes[found.outcomes["status"] == "failed"]
    told = [failed["reason"].str.contains(reason, regex=False).sum() for reason in ENDS.values()]
    assert all(0 < count <= faults[fault] for fault, count in zip(ENDS, told, strict=True)), told
    assert sum(told) == len(failed), failed.to_string()
    assert {"throttle", "function_timeout"} <= set(faults)
    names = ["status", "reason"]
    pd.testing.assert_frame_equal(
        found.outcomes.drop(failed.index)[names].sort_index(),
        by_api.outcomes.drop(failed.index)[names].sort_index(),
    )
    expected = by_api.rows[~by_api.rows["user_id"].isin(failed.index)]
    pd.testing.assert_frame_equal(
        found.rows, expected.reset_index(drop=True), check_categorical=False
    )
