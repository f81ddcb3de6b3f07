"""The stand-in of statsd_exporter takes lines as that one does, and no others."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

STANDIN = Path(__file__).parents[2] / "standins" / "statsd_exporter.py"


@pytest.fixture
def parse(monkeypatch):
    """The function of the stand-in that reads a line."""
    spec = importlib.util.spec_from_file_location("statsd_exporter", STANDIN)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module.parse


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("items,outcome=ok,dag_id=a:3|c", ("items", "counter", 3, False, ("dag_id", "outcome"))),
        ("size:1|g|@0.1", ("size", "gauge", 1, False, ())),
        ("seen:1|c|@0.1", ("seen", "counter", 10, False, ())),
        ("open:-2.5|g", ("open", "gauge", -2.5, True, ())),
        ("took,stage=fetch:1.5e3|ms", ("took", "observer", 1.5, False, ("stage",))),
    ],
)
def test_a_line_that_airflow_sends_is_a_value(parse, line, event):
    found = parse(line)
    names = tuple(name for name, _ in found.labels)
    assert (found.name, found.type, found.value, found.relative, names) == event


@pytest.mark.parametrize(
    "line", ["", "a", "a:1", "a:x|c", ":1|c", "a:1|s", "a,b:1|c", "a,b=:1|c", "a:1|ms|@0.1",
             "a:1|c|@0", "a:1|c|#b:c", "a:1|c|@0.1|@0.1"],
)  # fmt: skip
def test_a_malformed_line_is_refused(parse, line):
    with pytest.raises(ValueError, match="is no line"):
        parse(line)
