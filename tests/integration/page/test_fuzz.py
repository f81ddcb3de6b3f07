"""Each operation of the API against generated requests, checked against its OpenAPI document."""

from __future__ import annotations

import os
from urllib.parse import unquote

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fanfold.model import Status
from fanfold.queries.failures import groups_of

from .finished_run import File

DAG = "order_lines"
KEYS = [f"file-{number:02}.csv" for number in range(5)]
MISSING = "gone.csv"
SECRET = "sesame-4f1d"
EXAMPLES = 25 if os.environ.get("CI") else 5
"""Generated requests of each operation and mode."""

REDRIVE = "redrive"

CONFIG = {
    "seed": 20,
    "cache": {"enabled": False},
    "generation": {
        "database": "none",
        "deterministic": True,
        "max-examples": EXAMPLES,
        "with-security-parameters": False,
    },
    "phases": {"stateful": {"enabled": False}},
    "checks": {
        # The document promises these.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "307", "404", "409"]},
    },
}


@schemathesis.check
def no_secret(_context, response, _case):
    """No answer contains a file beside the workspace or a stack trace."""
    assert SECRET.encode() not in response.content
    assert b"Traceback" not in response.content


def document_of(address, site, workspace):
    """The API's document as it is served, with real ids and keys among the generated ones."""
    headers = {"Authorization": f"Bearer {site['user'].token}"}
    schema = schemathesis.openapi.from_url(
        f"{address}/fanfold/openapi.json",
        config=schemathesis.Config.from_dict({**CONFIG, "headers": headers}),
    )
    groups = [group.id for group in groups_of(workspace, "items", final=True)]
    rejected = [group.id for group in groups_of(workspace, "rows", final=True)]
    real = {
        "dag_id": [DAG],
        "run_id": [workspace.root.name],
        "name": ["orders.parquet", "revenue.csv.gz", "failed.jsonl"],
        "key": [*KEYS, MISSING],
        "prefix": [KEYS[0][:4]],
        "group": [*groups, *rejected],
        "table": ["orders", "revenue"],
        "sort": ["price", "ordered_at", "tags"],
        "column": ["price"],
        "filter": [[">:price:1"], ["contains::1", "=:file:file-00.csv"]],
    }

    def with_real(values, names):
        known = {name: st.sampled_from(real[name]) for name in names if name in values}
        return st.fixed_dictionaries(
            {name: known.get(name, st.just(value)) for name, value in values.items()}
        )

    @schema.hook
    def flatmap_path_parameters(_context, path_parameters):
        made_up = st.just(path_parameters)
        if not path_parameters:
            return made_up
        ids = with_real(path_parameters, ["dag_id", "run_id"])
        everything = with_real(path_parameters, ["dag_id", "run_id", "name"])
        return st.one_of(everything, ids, everything, made_up)

    @schema.hook
    def flatmap_query(_context, query):
        if not query:
            return st.just(query)
        return st.one_of(st.just(query), with_real(query, list(real)))

    @schema.hook
    def flatmap_body(context, body):
        # A chosen body is valid: as an invalid one it would be expected to be rejected.
        negative = _mode[0] is schemathesis.GenerationMode.NEGATIVE
        if context.operation.definition.raw["operationId"] != REDRIVE or negative:
            return st.just(body)
        keys = st.lists(st.sampled_from(real["key"]), min_size=1, max_size=4)
        some = st.lists(st.sampled_from(groups), max_size=2)
        chosen = {"dry_run": st.booleans(), "keys": keys}
        return st.fixed_dictionaries(chosen, optional={"groups": some}) | st.just(body)

    return schema


@pytest.fixture
def document(address, site, compared):
    return document_of(address, site, compared)


_mode = [None]
"""The mode of the requests that are being generated."""


def operations(schema):
    """All operations of a document, by their ids."""
    found = (result.ok() for result in schema.get_all_operations())
    return {operation.definition.raw["operationId"]: operation for operation in found}


def fuzz(operation, examples=EXAMPLES):
    """Send requests that the document allows and, where it has constraints, some that it forbids."""
    seen = set()
    forbids = operation.query or operation.body
    allowed = schemathesis.GenerationMode.POSITIVE
    for mode in schemathesis.GenerationMode if forbids else [allowed]:
        _mode[0] = mode

        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case):
            # Airflow's own router hands no path with a line break on: the answer is none of ours.
            assume("\n" not in unquote(case.formatted_path))
            seen.add(case.call_and_validate(allow_redirects=False, timeout=30).status_code)

        ask()
    assert seen & {200, 307}, f"only refused: {seen}"
    assert seen & {404, 422}, f"never refused: {seen}"


def test_reading_conforms_to_the_document(document):
    found = [each for each in operations(document).values() if each.method == "get"]
    assert found
    for operation in found:
        fuzz(operation)


def test_numbers_at_the_limits_of_the_document_are_accepted(document, site, compared):
    ids = {"dag_id": DAG, "run_id": compared.root.name}
    asked = []
    for operation in operations(document).values():
        for parameter in operation.definition.raw.get("parameters", []):
            if parameter["schema"].get("type") != "integer":
                continue
            path = "/fanfold" + operation.path.format(**ids)
            for end in ("minimum", "maximum"):
                number = parameter["schema"][end]
                answer = site["user"].get(path, params={parameter["name"]: number})
                assert answer.status_code == 200, (path, parameter["name"], number, answer.text)
                asked.append(parameter["name"])
    assert {"after", "limit", "offset", "runs"} <= set(asked)


@pytest.mark.parametrize("name", [REDRIVE, "publish_anyway", "change_limits"])
def test_changing_a_run_conforms_to_the_document(address, site, finished_run, name):
    """Each has a run of its own, which failed because of its tolerance."""
    files = {
        **dict.fromkeys(KEYS, File(status=Status.FAILED)),
        MISSING: File(status=Status.MISSING),
    }
    state = {"change_limits": "running"}.get(name, "failed")
    page = finished_run(files, passed=False, state=state, states={"consolidate": "failed"})
    # Many keys and groups are generated before one is real.
    fuzz(operations(document_of(address, site, page.workspace))[name], examples=25)
