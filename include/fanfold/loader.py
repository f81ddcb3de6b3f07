"""Load a pipeline by name, with the digest of its code."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.errors import BadPipeline
from fanfold.pipeline import Pipeline
from fanfold.sources.author_errors import described, last_line
from fanfold.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "pipelines"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A pipeline and the digest of its code: of its module, those that it imports, and Fanfold."""

    pipeline: Pipeline
    code: str


def pipeline_names() -> list[str]:
    """Return the names of the pipelines that Python finds, sorted."""
    try:
        package = importlib.import_module(PACKAGE)
    except ModuleNotFoundError:
        return []
    return sorted(
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    )


def load_pipeline(name: str) -> Loaded:
    """Return the pipeline of a module in a folder ``pipelines`` that Python finds.

    That is ``include/pipelines`` in this repository; elsewhere the folder beside the DAG files, as Airflow
    adds theirs to ``sys.path``, or any other one on it.

    Raises:
        BadPipeline: There is no such module, it cannot be imported, or it has no ``PIPELINE``.
    """
    if name not in pipeline_names():
        raise BadPipeline(
            f"There is no {PACKAGE}/{name}.py beside the DAG files or elsewhere on Python's path; available: "
            f"{', '.join(pipeline_names()) or 'none'}."
        )
    module = f"{PACKAGE}.{name}"
    try:
        found = importlib.import_module(module)
    except Exception as error:
        line = last_line(error, PACKAGE)  # that of a SyntaxError is in its text
        raise BadPipeline(
            f"{PACKAGE}/{name}.py cannot be imported: {described(error)}"
            f"{f' ({line})' if line else ''}"
        ) from error
    pipeline = getattr(found, "PIPELINE", None)
    if not isinstance(pipeline, Pipeline):
        raise BadPipeline(f"{PACKAGE}/{name}.py must define PIPELINE = Pipeline(…).")
    if pipeline.name != name:
        raise BadPipeline(
            f"{PACKAGE}/{name}.py: PIPELINE has the name {pipeline.name!r}; it must be that "
            "of its module."
        )
    return Loaded(pipeline, code_digest(module))


def code_digest(module: str) -> str:
    """Return a digest of the source of a module and of the modules of its package that it imports."""
    digest = hashlib.sha256(__version__.encode())
    for path in sorted(_files(module, set())):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _files(module: str, seen: set[str]) -> Iterator[Path]:
    spec = importlib.util.find_spec(module)
    if module in seen or spec is None or spec.origin is None:
        return
    seen.add(module)
    path = Path(spec.origin)
    yield path
    package = module.partition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (
                f"{package}.{node.module}" if node.level and node.module else node.module or package
            )
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.startswith(f"{package}.") and _exists(name):
                yield from _files(name, seen)


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False
