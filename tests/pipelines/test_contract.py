"""What holds for every pipeline in include/pipelines and its DAG files, whoever wrote them."""

from __future__ import annotations

import ast
import datetime as dt
import itertools
import json
import os
import subprocess
import sys
import tempfile
import warnings
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import types

from fanfold import readers, testing
from fanfold.injection import inject
from fanfold.loader import Loaded, load_pipeline, pipeline_names
from fanfold.model import Outcome, RunIdentity, Status
from fanfold.pipeline import AS_OF, DATASET
from fanfold.simulator.process import running
from fanfold.simulator.sample import DELIVERIES, connections
from fanfold.sources import Api, Call, Compute, Files, Function
from fanfold.sources.session import ApiSession
from fanfold.sources.template import rendered
from fanfold.sources.version import source_version
from fanfold.stages import consolidating, planning, processing, reporting
from fanfold.stages.consolidating.folds import write_folds
from fanfold.stages.consolidating.tables import write_table
from fanfold.stages.loading import targets_of
from fanfold.stages.processing.contract import contract_of
from fanfold.workspace.paths import Workspace

# A warning of a library that a pipeline uses is none of ours.
pytestmark = pytest.mark.filterwarnings("default")

DAGS = Path(__file__).parents[2] / "dags"
PARSE = Path(__file__).with_name("parse_dags.py")
NAMES = pipeline_names()
NOW = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)


def dag_files(name):
    """The files of dags/ that contain the name of a pipeline as a string."""
    return [
        path
        for path in sorted(DAGS.glob("*.py"))
        for tree in [ast.parse(path.read_text("utf-8"))]
        if any(isinstance(node, ast.Constant) and node.value == name for node in ast.walk(tree))
    ]


FILES = {name: dag_files(name) for name in NAMES}
PAIRS = [
    pytest.param(name, path, id=f"{name}-{path.name}") for name in NAMES for path in FILES[name]
]


@pytest.fixture(scope="module")
def parsed():
    """What all DAG files import, and twice their DAGs, with two seeds of Python's hashes."""
    paths = sorted({str(path) for files in FILES.values() for path in files})
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        started = [
            subprocess.Popen(
                [sys.executable, "-W", "ignore", str(PARSE), *paths],
                env={**environment, "PYTHONHASHSEED": seed},
                stdout=subprocess.PIPE,
                text=True,
            )
            for seed in ("1", "2")
        ]
        outputs = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    (imports, first), (_, second) = (
        [json.loads(line) for line in text.splitlines() if line.startswith("{")] for text in outputs
    )
    return imports, first, second


@pytest.mark.parametrize(("name", "path"), PAIRS)
def test_its_dag_file_imports_nothing_heavy(name, path, parsed):
    """Each mapped task parses its DAG file again."""
    found = parsed[0][str(path)]
    assert "heavy" in found, found["error"]
    print(f"{path.name} takes {found['milliseconds']} ms more than an empty DAG")
    assert not found["heavy"], f"{path.name} imports these; import them in the tasks of {name}"


@pytest.mark.parametrize(("name", "path"), PAIRS)
def test_its_dag_is_serialised_to_the_same_hash_and_back(name, path, parsed):
    """Another hash is another version of the DAG, at each parse."""
    _, first, second = (each[str(path)] for each in parsed)
    assert first.get("dags"), first.get("error", f"{path.name} has no DAG of the pipeline {name}")
    assert first["dags"] == second["dags"]


def test_no_pipeline_writes_a_table_that_another_one_makes_equal_to_its_dataset():
    pipelines = [load_pipeline(name).pipeline for name in NAMES]
    for one, two in itertools.combinations(pipelines, 2):
        if "merge" in {one.mode, two.mode}:
            tables = [{target.name for target in targets_of(each)} for each in (one, two)]
            assert not tables[0] & tables[1], f"set table_prefix in {one.name} or {two.name}"


@pytest.mark.parametrize("rows", [0, 1, 300])
@pytest.mark.parametrize("name", NAMES)
def test_its_folds_and_charts_work_on(name, rows, tmp_path):
    pipeline = load_pipeline(name).pipeline
    workspace = Workspace(tmp_path)
    table = synthetic(pipeline, rows)
    path = workspace.table(pipeline.dataset)
    write_table(path, path.with_suffix(".csv.gz"), table.schema, table.to_batches())
    write_folds(workspace, pipeline, pa.scalar(NOW, table.schema.field(AS_OF).type))
    tables = {each: workspace.table(each) for each in pipeline.tables}
    reporting.check_charts(pipeline, {**tables, DATASET: path}, workspace.spill)


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_on_its_first_items_and_gives_the_same_bytes_again(name, parsed, request, tmp_path):
    pipeline = load_pipeline(name).pipeline
    dags = [dag for path in FILES[name] for dag in parsed[1][str(path)].get("dags", {}).values()]
    items = next((dag["items"][:2] for dag in dags if dag["items"]), [])
    if isinstance(pipeline.source, Files) and (paths := sample_files(items, tmp_path)):
        assert rows_of_steps(pipeline, paths) == rows_of_steps(pipeline, paths, paths[::-1])
        return
    if not items and isinstance(pipeline.source, Api) and pipeline.source.listing:
        request.getfixturevalue("simulated")
        items = listed(pipeline)[:2]
    reason = not_run(pipeline, items)
    if reason:
        warnings.warn(f"{name} did not run: {reason}", stacklevel=1)
        return
    if isinstance(pipeline.source, Api | Function):
        request.getfixturevalue("simulated")
    result = testing.run(pipeline, items)
    lost = result.outcomes[~result.outcomes["status"].isin(["ok", "missing"])]
    assert lost.empty, lost.to_string()
    keys = list(result.outcomes.index)
    assert files_of(pipeline, items, result.records, [keys]) == files_of(
        # Fetched one by one in another order, and one of them twice.
        pipeline, items, result.records, [[key] for key in (*reversed(keys), keys[0])]
    )  # fmt: skip


def listed(pipeline):
    """The items that the API of a pipeline lists, if it is simulated."""
    connection = pipeline.source.connection
    if connection not in connections("", ""):
        return []
    with ApiSession(pipeline.source, testing.endpoint_of(connection), as_of=NOW) as session:
        return session.list_items()


def sample_files(patterns, folder):
    """Write the first sample files that some patterns are for; return their paths."""
    paths = []
    for prefix, deliver in DELIVERIES.items():
        if any(f"/{prefix}" in pattern for pattern in patterns):
            for key, content in itertools.islice(deliver(NOW.date(), 2), 4):
                paths.append(folder / key.replace("/", "-"))
                paths[-1].write_bytes(content)
    return [str(path) for path in paths]


def rows_of_steps(pipeline, *steps):
    """Run a pipeline over some files, in mode ``merge`` in steps with a file more; return all rows."""
    result = None
    for paths in (
        steps if pipeline.mode == "snapshot" else [step[:n] for step in steps for n in (2, 4)]
    ):
        after = result if pipeline.mode == "merge" else None
        result = testing.run(pipeline, paths, after=after, charts=False)
        lost = result.outcomes[result.outcomes["status"] != "ok"]
        assert lost.empty, lost.to_string()
    assert len(result.rows)
    return result.rows.drop(columns=AS_OF).to_csv()


def not_run(pipeline, items):
    """Why a pipeline cannot run here; of an Api without simulator at least its request is made."""
    if not items:
        return "its DAG has no default list"
    source = pipeline.source
    if isinstance(source, Compute):
        return ""
    if not isinstance(source, Api | Function):
        return f"its source is {type(source).__name__}"
    connection = source.connection or f"{pipeline.name}_default"
    if connection in connections("", ""):
        return ""
    if isinstance(source, Function):
        return f"no simulator runs the functions of {connection}"
    with tempfile.TemporaryDirectory() as folder:
        item = planned(Workspace(Path(folder) / "run"), pipeline, items).items()[0]
    call = inject(source.call, as_of=NOW)(item) if source.call else rendered(source, item, NOW)
    assert isinstance(call, Call)
    return f"no simulator speaks the API of {connection}; its first request is {call.path}"


@pytest.fixture(scope="module")
def simulated():
    """The connections of the simulator in the environment."""
    with running() as simulator, pytest.MonkeyPatch.context() as patch:
        for connection, fields in connections(simulator.url, simulator.token).items():
            patch.setenv(f"AIRFLOW_CONN_{connection.upper()}", json.dumps(fields))
        yield


def planned(workspace, pipeline, items):
    """Return the only batch of some items."""
    located = readers.from_list(items, pipeline.item_column)
    readers.write_items(workspace, located, pipeline.check_item)
    times = {"logical_date": NOW.isoformat(), "started_at": NOW.isoformat()}
    planning.write_plan(workspace, pipeline, wanted_size=len(items), **times)
    return workspace.batch(0)


def files_of(pipeline, items, records, parts):
    """Consolidate records that were fetched in some parts; return sizes and digests of all files."""
    loaded, version = Loaded(pipeline, ""), source_version(pipeline.source)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "run")
        batch = planned(workspace, pipeline, items)
        for sequence, keys in enumerate(parts, start=1):
            part = [
                (Outcome(key, Status.OK if key in records else Status.MISSING), records.get(key))
                for key in keys
            ]
            batch.write_part(sequence, part, version)
        manifest = consolidating.consolidate(
            workspace,
            RunIdentity(pipeline.name, "run", NOW),
            loaded,
            lambda batch: processing.process_batch(batch, loaded, as_of=NOW),
            schema=processing.arrow_schema(pipeline.contract),
            version=version,
        )
    return manifest.files


# Rows of any contract -----------------------------------------------------------------------


def moment(kind, row):
    found = NOW + dt.timedelta(hours=row)
    return found if kind.tz else found.replace(tzinfo=None)


VALUES = (
    (types.is_boolean, lambda _, row: row % 2 == 0),
    (types.is_integer, lambda kind, row: row % 100 + 1 if kind.bit_width == 8 else row + 1),
    (types.is_floating, lambda _, row: row + 0.5),
    (types.is_decimal, lambda kind, row: Decimal(row % 9 + 1).scaleb(-kind.scale)),
    (types.is_timestamp, moment),
    (types.is_date, lambda _, row: NOW.date() + dt.timedelta(days=row)),
    (types.is_struct, lambda kind, row: {each.name: value(each.type, row) for each in kind}),
    (lambda kind: hasattr(kind, "value_type"), lambda kind, row: [value(kind.value_type, row)]),
    (types.is_string, lambda _, row: f"text {row}"),
)


def value(kind, row):
    return next((make(kind, row) for fits, make in VALUES if fits(kind)), None)


def synthetic(pipeline, count):
    """Return rows that obey the types, categories, ranges and the key of a contract.

    Each fifth value of a nullable column is null, except in the columns of a key.
    """
    contract = contract_of(pipeline)
    keys = {*pipeline.key, *(name for fold in pipeline.folds for name in fold.key)}
    columns = {}
    for column in contract.columns:
        can_be_null = column.nullable and column.name not in keys
        values = [
            None if can_be_null and row % 5 == 4 else bounded(column, contract.checks, row)
            for row in range(count)
        ]
        columns[column.name] = pa.array(values, column.kind.type)
    table = pa.table(columns, contract.schema)
    twice = (
        table.select([name for name in pipeline.key if name in columns]).to_pandas().duplicated()
    )
    table = table.filter(pa.array(~twice, pa.bool_()))
    field = processing.arrow_schema(pipeline.contract).field(AS_OF)
    return table.append_column(field, pa.repeat(pa.scalar(NOW, field.type), len(table)))


def bounded(column, checks, row):
    """Return a value of a column that is one of its categories and inside of its range."""
    checks = checks.columns[column.name].checks if checks and column.name in checks.columns else ()
    rules = [check.statistics for check in checks]
    allowed = column.kind.categories or next(
        (rule["allowed_values"] for rule in rules if "allowed_values" in rule), None
    )
    if allowed is not None:
        found = list(allowed)[row % len(allowed)]
        return found.as_py() if isinstance(found, pa.Scalar) else found
    found = value(column.kind.type, row)
    if isinstance(found, int | float | Decimal) and not isinstance(found, bool):
        for rule in rules:
            found = max(found, rule.get("min_value", found))
            found = min(found, rule.get("max_value", found))
    return found
