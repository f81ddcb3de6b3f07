"""The version of a source changes with what decides about its records, and with nothing else."""

from __future__ import annotations

import inspect
import sys
import types
from dataclasses import replace
from datetime import UTC, datetime

import pandera.pandas as pa
import pytest

from fanfold import Api, Catalogue, Compute, Files, Fold, Pages, Pipeline
from fanfold.injection import inject
from fanfold.sources.version import rows_version, source_version

MODULE = '''
"""Words."""
import re
from enum import StrEnum
from functools import partial
from fanfold import Api, Call

LIMITS = {"a": 1, "b": (2, 3)}
PATTERN = re.compile("[a-z]+")

class Kind(StrEnum):
    BUSY = "busy"
    def is_busy(self):
        return self in {"busy", "odd", "late"}

def helper(item):
    """Docstring."""
    return [LIMITS["a"] * 5 for _ in PATTERN.findall(item.key) if Kind("busy").is_busy()]

def call(item, size=10):
    # A comment.
    return Call("/x", {"n": str(helper(item))})

SOURCE = Api(call=partial(call, size=20))
'''


def version(text, monkeypatch):
    """The version of the source of a module of the package ``pipelines``."""
    module = types.ModuleType("pipelines.tried")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(text, "tried.py", "exec"), vars(module))  # noqa: S102 - a module of this test
    return source_version(module.SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [("# A comment.", "# Another one.\n"), ("Docstring.", "Others."), ("Words", "More")],
)
def test_comments_docstrings_and_lines_do_not_count(monkeypatch, old, new):
    first = version(MODULE, monkeypatch)
    assert version("\n\n" + MODULE.replace(old, new), monkeypatch) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* 5", "* 6"),
        ("(2, 3)", "(2, 4)"),
        ("[a-z]+", "[a-y]+"),
        ('"late"}', '"later"}'),
        ('BUSY = "busy"', 'BUSY = "busie"'),
        ("size=20", "size=21"),
        ("size=10", "size=11"),
        ('"/x"', '"/y"'),
    ],
)
def test_what_a_function_reaches_in_its_package_counts(monkeypatch, old, new):
    assert version(MODULE.replace(old, new), monkeypatch) != version(MODULE, monkeypatch)


def test_fields_that_decide_about_records_count_and_others_do_not():
    api = Api(path="/x", pages=Pages(number=1, limit=10), records="data")
    first = source_version(api)
    assert len(first) == 8
    for other in (
        {"pages": Pages(number=1, limit=11)},
        {"records": "items"},
        {"json": {"a": 1}},
        {"read": lambda _, response: response},
    ):
        assert source_version(replace(api, **other)) != first, other
    same = replace(api, messages=Catalogue({"a": ("b", "c")}).texts, connection="x_default")
    assert source_version(same) == first
    compute = Compute(lambda item: {"n": item.key})
    assert source_version(replace(compute, time_limit=1)) == source_version(compute)


def test_a_function_gets_what_it_names():
    as_of = datetime(2026, 8, 1, tzinfo=UTC)
    assert inject(lambda item, as_of: (item, as_of), as_of=as_of, other=1)("a") == ("a", as_of)
    assert inject(lambda item: item, as_of=as_of)("a") == "a"
    assert inject(str.upper, as_of=as_of)("a") == "A"


class Line(pa.DataFrameModel):
    """A contract."""

    order: str
    price: float = pa.Field(ge=0)

    @pa.check("price")
    def is_plausible(cls, prices):  # noqa: N805 - pandera's form
        return prices < 1000


def strict(price=0.0):
    return pa.DataFrameSchema(
        {"order": pa.Column(str), "price": pa.Column(float, pa.Check.ge(price))}
    )


PIPELINE = Pipeline(
    name="orders", noun="file", source=Files(), contract=Line, key=("order",), mode="merge"
)


@pytest.mark.parametrize(
    "change",
    [
        {"transform": lambda records: records},
        {"each": lambda record: [record]},
        {"contract": strict()},
        {"key": ("order", "price")},
        {"newest": "price"},
        {"deleted": "order"},
        {"reject": "item"},
        {"source": Files(delimiter=";")},
        {"source": Compute(dict)},
    ],
    ids=lambda change: "=".join(map(str, next(iter(change.items()))))[:20],
)
def test_the_version_of_rows_changes_with_what_makes_them(change):
    assert rows_version(replace(PIPELINE, **change)) != rows_version(PIPELINE)


def test_the_version_of_rows_stays_if_they_do_and_follows_the_rules_of_the_contract():
    fold = Fold("total", key=("order",), sql="FROM dataset")
    others = {"name": "shop", "dataset": "lines", "folds": [fold], "label": "order"}
    same = replace(PIPELINE, **others, source=Files(connection="other"))
    assert rows_version(same) == rows_version(PIPELINE)
    versions = [rows_version(replace(PIPELINE, contract=strict(n))) for n in (0.0, 1.0, 0.0)]
    assert versions[0] == versions[2] != versions[1]
    assert version_of_a_copy() == rows_version(PIPELINE)


def version_of_a_copy():
    """The version with a contract of the same code, made again."""
    module = types.ModuleType("again")
    module.__dict__.update(pa=pa, __name__=__name__)
    exec(inspect.getsource(Line), module.__dict__)  # noqa: S102 - a class of this test
    return rows_version(replace(PIPELINE, contract=module.Line))
