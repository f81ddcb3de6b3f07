"""The version of a source changes with what decides about its records, and with nothing else."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fanfold import Api, Catalogue, Compute, Pages
from fanfold.injection import inject
from fanfold.sources.version import source_version

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
