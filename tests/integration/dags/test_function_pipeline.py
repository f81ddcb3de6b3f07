"""A pipeline that calls a function, from the template: preflight, a run with its cost, a redrive."""

from __future__ import annotations

import sys

import pytest

import pipelines
from fanfold.__main__ import new
from fanfold.simulator import sample

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

NAME = "factors"
PATH = "/2015-03-31/functions/{name}/invocations"
HANDLER = """
import pathlib
HERE = pathlib.Path(__file__)
def handler(event, context):
    number, key = event["number"], event["idempotency_key"]
    assert context.client_context.custom["idempotency_key"] == key
    with HERE.with_name("keys").open("a") as file:
        file.write(f"{number} {key}\\n")
    if number == "7" and not HERE.with_name("mended").exists():
        raise ValueError("no factors of 7")
    if int(number) % 13 == 0:
        HERE.unlink()
    return {"factors": [{"prime": int(number), "exponent": 1}]}
"""


@pytest.fixture
def handler(pipeline, tmp_path, monkeypatch):
    """The file of the function; beside it, ``keys`` has a line for each call."""
    from airflow import settings

    module, dag, _, handler = new(NAME, "function", root=tmp_path)
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(module.parent)])
    handler.write_text(HANDLER)
    simulator = pipeline.simulator
    simulator.control(functions=str(handler.parent))
    pipeline.connect(
        sample.FUNCTIONS, **sample.connections(simulator.url, simulator.token)[sample.FUNCTIONS]
    )
    pipeline.dags = dag.parent
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(dag.parent))
    yield handler
    sys.modules.pop(f"pipelines.{NAME}", None)


def calls(handler):
    return [tuple(line.split()) for line in handler.with_name("keys").read_text().splitlines()]


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ({}, "finds no function factors at us-east-1 (ResourceNotFoundException): create it"),
        ({"extra": {}}, "Connection 'function_default' has no region: set region_name"),
    ],
)
def test_preflight_names_function_and_connection_before_any_call(
    connection, said, pipeline, handler, monkeypatch
):
    simulator = pipeline.simulator
    given = sample.connections(simulator.url, simulator.token)[sample.FUNCTIONS]
    pipeline.connect(sample.FUNCTIONS, **{**given, **connection})
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    handler.unlink()

    run = pipeline.run(NAME, items=["6"])

    assert "1 of 5 preflight checks failed" in run.error("preflight")
    assert said in run.error("preflight")
    assert not handler.with_name("keys").exists()


def test_the_client_has_the_proxies_of_its_connection_and_the_time_limit_of_the_source(pipeline):
    from fanfold.airflow import connections

    proxies = {"http": "http://proxy.invalid:3128"}
    config = {"proxies": proxies, "read_timeout": 60}
    extra = {"region_name": "eu-west-1", "config_kwargs": config}
    pipeline.connect(sample.FUNCTIONS, conn_type="aws", login="id", password="key", extra=extra)

    client = connections._lambda_client(sample.FUNCTIONS, {"read_timeout": 300})

    found = client.meta.config
    assert (found.proxies, found.read_timeout) == (proxies, 300)


def test_a_redrive_calls_what_failed_with_the_same_key_and_adds_its_cost(pipeline, handler):
    given = {"items": ["2", "7", "11"], "tolerated_failure_percentage": 100}
    run = pipeline.run(NAME, batch_size=3, **given)
    assert "factors failed: ValueError: no factors of 7" in run.error("batch.fetch")
    assert (run.counts.ok, run.counts.failed) == (2, 1)
    first = run.manifest["gb_seconds"]
    assert first > 0

    handler.with_name("mended").touch()
    run = pipeline.clear(run, "batch.fetch", "batch.process", "consolidate")

    assert run.errors == {}
    assert run.counts.ok == 3
    assert run.manifest["gb_seconds"] > first
    assert run.manifest["requests"] == 4
    assert run.manifest["places"] == [f"{pipeline.simulator.url} (us-east-1)"]
    made = calls(handler)
    assert sorted(number for number, _ in made) == ["11", "2", "7", "7"]
    assert len(set(made)) == len({key for _, key in made}) == 3


def test_a_function_that_is_gone_stops_all_batches(pipeline, handler):
    """It removes itself: the simulator then answers that there is none."""
    run = pipeline.run(NAME, items=["13", "26", "39"], batch_size=1)

    assert "finds no function factors" in run.error("batch.fetch")
    assert "success" not in {run.states["batch.fetch", number] for number in range(3)}
    assert len(calls(handler)) == 1
    # The check of preflight and one call.
    assert pipeline.simulator.stats()["paths"] == {PATH: 2}
