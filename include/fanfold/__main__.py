"""The author's command line: ``python -m fanfold try NAME --item KEY``, and ``new NAME --from api``."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import sys
from dataclasses import replace
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput, BadPipeline, FanfoldError
from fanfold.loader import load_pipeline, pipeline_names
from fanfold.pipeline import DATASET
from fanfold.sources import Api, Files, Function

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from fanfold.pipeline import Pipeline
    from fanfold.testing import Result

_REPOSITORY = Path(__file__).resolve().parents[2]
_INSTALLED = not (_REPOSITORY / "dags").is_dir()
"""Whether this is an installed package, outside of its repository."""
_TEMPLATES = Path(__file__).with_name("templates")
_OF_ITEMS = {
    "list": "items",
    "function": "item_params",
    "constant": "ITEMS",
}
_KINDS: dict[str, dict[str, str]] = {
    "api": {
        **_OF_ITEMS,
        "items": '["K042", "B107", "S230"]',
        "example": '["K042"]',
        "params": 'noun="station", column="station"',
        "policy": "PIPELINE",
    },
    "compute": {
        **_OF_ITEMS,
        "items": "[str(number) for number in range(1, 31)]",
        "example": '["27"]',
        "params": 'noun="number", column="number", requests=False',
        "policy": "PIPELINE",
    },
    "function": {
        **_OF_ITEMS,
        "items": "[str(number) for number in range(1, 61)]",
        "example": '["360"]',
        "params": 'noun="number", column="number"',
        "policy": "SNAPSHOT",
    },
    "files": {
        "list": "files",
        "function": "file_params",
        "constant": "FILES",
        "items": '["s3://fanfold/samples/weather/{date}/*.csv"]',
        "example": '["s3://fanfold/samples/weather/2026-07-01/K042.csv"]',
        "params": 'mode="merge"',
        "policy": "PIPELINE",
    },
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SHOWN = 10
"""Records, rows and rejected rows of an item that ``try`` prints."""
_WIDE = 8
"""Columns above which a table is printed with a line a column."""


def dags_folder() -> Path:
    """Return the folder of the DAG files: that of the repository, or of the Airflow that is installed."""
    if not _INSTALLED:
        return _REPOSITORY / "dags"
    from airflow.configuration import conf

    return Path(conf.get_mandatory_value("core", "dags_folder"))


def new(name: str, kind: str, root: Path | None = None, *, dags: Path | None = None) -> list[Path]:
    """Write a pipeline that runs as it is: module, DAG file, test, and a file or a function; return their paths.

    Args:
        name: Name of the pipeline and its files.
        kind: The kind of source: ``api``, ``files``, ``function``, ``compute``.
        root: A folder laid out as this repository; the default is the repository.
        dags: Instead of ``root``, the DAG files' folder of an Airflow: the pipeline goes into ``pipelines`` in
            it, tests and functions beside it.

    Raises:
        BadInput: The name cannot be that of a module or dataset, or one of the files exists, or there is
            no such kind.
    """
    if kind not in _KINDS:
        raise BadInput(f"FROM={kind!r}: use {', '.join(sorted(_KINDS))}.")
    if not _NAME.fullmatch(name) or iskeyword(name) or name == DATASET:
        raise BadInput(
            f"NAME={name!r}: use up to 40 lower-case letters, digits and '_', such as air_quality."
        )
    root = dags.parent if dags else root or _REPOSITORY
    include, dags = (dags, dags) if dags else (root / "include", root / "dags")
    functions = (root if include == dags else include) / "functions"
    files = {
        include / "pipelines" / f"{name}.py": f"{kind}.py.tmpl",
        dags / f"{name}.py": "dag.py.tmpl",
        root / "tests" / "pipelines" / f"test_{name}.py": f"{kind}_test.py.tmpl",
    }
    if kind == "files":
        files[root / "tests" / "pipelines" / f"{name}.csv"] = "files.csv.tmpl"
    if kind == "function":
        files[functions / f"{name}.py"] = "function_handler.py.tmpl"
    for path in files:
        if path.exists():
            raise BadInput(f"{path} exists; choose another NAME or remove it.")
    values = {"name": name, "title": name.replace("_", " ").capitalize(), **_KINDS[kind]}
    for path, template in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = (_TEMPLATES / template).read_text("utf-8")
        path.write_text(Template(text).substitute(values), "utf-8")
    return list(files)


def try_item(pipeline: Pipeline, item: dict[str, Any]) -> Result:
    """Fetch and process one item, fold and draw; return the result.

    The sample APIs of the local mode are simulated if their connection is not in the environment.
    """
    from fanfold import testing

    with _simulated(pipeline):
        return testing.run(pipeline, [item])


@contextlib.contextmanager
def _simulated(pipeline: Pipeline) -> Iterator[None]:
    from fanfold.simulator.sample import connections
    from fanfold.testing import endpoint_of

    source = pipeline.source
    connection = source.connection if isinstance(source, Api | Function) else ""
    variable = f"AIRFLOW_CONN_{connection.upper()}"
    if connection not in connections("", "") or variable in os.environ:
        if isinstance(source, Api | Function):
            connection = connection or f"{pipeline.name}_default"
            endpoint = endpoint_of(connection, functions=isinstance(source, Function))
            print(f"{connection}: {endpoint.url or 'AWS Lambda'}")
        yield
        return
    if importlib.util.find_spec("httptools") is None:
        raise BadInput(
            f"{variable} is not set. Set it to the connection of the API, or install the simulator: "
            "pip install 'fanfold[local]'."
        )
    from fanfold.simulator.process import running

    print(f"{variable} is not set: using the simulator.")
    folder = os.environ.get("FUNCTIONS") if isinstance(source, Function) else None
    with running(*(("--functions", str(Path(folder).absolute())) if folder else ())) as simulator:
        fields = connections(simulator.url, simulator.token)[connection]
        os.environ[variable] = json.dumps(fields)
        try:
            yield
        finally:
            del os.environ[variable]


def _print(pipeline: Pipeline, result: Result, key: str) -> None:
    from fanfold.stages.consolidating.notes import repeated_text

    outcome = result.outcomes.iloc[0]
    print(f"{key}: {outcome['status']}" + (f" ({outcome['reason']})" if outcome["reason"] else ""))
    if cost := result.manifest.gb_seconds:
        print(f"function cost: {cost:.3g} GB-s")
    records: Any = next(iter(result.records.values()), [])
    if isinstance(pipeline.source, Files):
        if len(records):
            _table("first records", records, wide=True)
        for column in result.manifest.dropped_columns:
            print(f"  dropped, because the pipeline does not name it: column {column!r}")
    else:
        _section("records", len(records))
        for record in records[:_SHOWN]:
            text = json.dumps(record, ensure_ascii=False)
            print(f"  {text[:300]}{'…' * (len(text) > 300)}")
    _table("rows", result.rows)
    if text := repeated_text(result.manifest, pipeline):
        print(f"  {text}")
    _table("rejected rows", result.rejected)
    for name, fold in result.folds.items():
        _table(f"fold {name}", fold)


def _section(name: str, count: int, shown: int = _SHOWN) -> None:
    print(f"\n{name}: {count}" + (f", the first {shown}" if count > shown else ""))


def _table(name: str, frame: pd.DataFrame, *, wide: bool = False) -> None:
    is_wide = wide or len(frame.columns) > _WIDE
    shown = 2 + 2 * wide if is_wide else _SHOWN
    _section(name, len(frame), shown)
    if frame.empty:
        return
    if is_wide:  # a column a line
        lines = frame.head(shown).reset_index(drop=True).T
        lines.insert(0, "type", frame.dtypes.astype(str))
        text = lines.to_string(max_colwidth=30 if wide else 50)
    else:
        text = frame.head(_SHOWN).to_string(index=False, max_colwidth=40)
    print("\n".join(f"  {line}" for line in text.splitlines()))


def _attributes(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no JSON object") from None


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fanfold", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("try", help="fetch and process one item, without Airflow")
    one.add_argument("name", help=f"a pipeline: {', '.join(pipeline_names())}")
    one.add_argument("--item", required=True, help="the item's key")
    one.add_argument(
        "--attributes", type=_attributes, default={}, help="its attributes, as a JSON object"
    )
    one.add_argument("--report", type=Path, help="write the report to this file")
    made = commands.add_parser("new", help="write a pipeline: module, DAG file and test")
    made.add_argument("name")
    made.add_argument("--from", dest="kind", required=True, help=", ".join(sorted(_KINDS)))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    if _INSTALLED:
        sys.path.append(str(dags_folder()))  # as Airflow does
    given: Any = _parse(arguments)
    try:
        if given.command == "new":
            paths = new(given.name, given.kind, dags=dags_folder() if _INSTALLED else None)
            if not _INSTALLED:
                paths = [path.relative_to(_REPOSITORY) for path in paths]
            print(*paths, sep="\n")
            of_files = given.kind == "files"
            item = paths[-1] if of_files else json.loads(_KINDS[given.kind]["example"])[0]
            python = "python" if _INSTALLED else ".venv/bin/python"
            run = "airflow dags trigger " if _INSTALLED else "make run PIPELINE="
            print(f"Try it: {python} -m fanfold try {given.name} --item {item}")
            print(f"Run it: {run}{given.name}")
            return 0
        pipeline = load_pipeline(given.name).pipeline
        item = {**given.attributes, pipeline.item_column: given.item}
        try:
            result = try_item(pipeline, item)
        except BadPipeline as error:
            # Perhaps only a fold or chart is wrong: rows help to see why.
            plain = replace(pipeline, folds=(), charts=())
            _print(pipeline, try_item(plain, item), given.item)
            raise error from None
        _print(pipeline, result, given.item)
        if given.report:
            given.report.write_text(result.report, "utf-8")
            print(f"\nreport: {given.report}")
        return int(result.outcomes.iloc[0]["status"] in {"failed", "invalid"})
    except BrokenPipeError:  # `try … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except FanfoldError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
