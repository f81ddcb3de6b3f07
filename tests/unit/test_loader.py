"""Loading a pipeline: errors name the author's line, and the digest follows its imports."""

from __future__ import annotations

import sys

import pytest

import pipelines
from fanfold.errors import BadPipeline
from fanfold.loader import code_digest, load_pipeline, pipeline_names

GOOD = """
from fanfold import Compute, Pipeline
from pipelines._mine import add

PIPELINE = Pipeline(name="mine", noun="number", source=Compute(add), contract=None, key=("item",))
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """``package(**files)``: write modules into the package of the pipelines."""
    monkeypatch.setattr(pipelines, "__path__", [str(tmp_path)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loaded = set(sys.modules)

    def write(**files):
        for name in set(sys.modules) - loaded:
            if name.startswith("pipelines."):
                del sys.modules[name]
                vars(pipelines).pop(name.removeprefix("pipelines."), None)
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)

    yield write
    write()


def test_modules_with_an_underscore_are_no_pipelines(package):
    package(mine=GOOD, _mine="def add(item): ...", other="")
    assert pipeline_names() == ["mine", "other"]
    assert load_pipeline("mine").pipeline.name == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n\ny = x / 0", r"mine\.py cannot be imported: ZeroDivisionError.*\(mine\.py:3\)"),
        ("import no_such_module", r"No module named 'no_such_module' \(mine\.py:1\)"),
        ("x = (\n1, 2", r"SyntaxError: '\(' was never closed \(mine\.py, line 1\)"),
        ("from pipelines._mine import add\nadd(1)", r"TypeError: .* \(_mine\.py:2\)"),
        (GOOD.replace('key=("item",)', "key=()"), r"BadPipeline: .*key must name.* \(mine\.py:5\)"),
        ("PIPELINE = 1", r"must define PIPELINE = Pipeline"),
        (GOOD.replace('"mine"', '"yours"'), r"has the name 'yours'; it must be that of its module"),
    ],
)
def test_a_wrong_module_is_named_with_the_line(package, text, message):
    package(mine=text, _mine="def add(item):\n    return item + 'x'")
    with pytest.raises(BadPipeline, match=message):
        load_pipeline("mine")


def test_an_unknown_pipeline_is_answered_with_the_known_ones(package):
    package(mine=GOOD, _mine="")
    with pytest.raises(BadPipeline, match=r"no pipelines/_mine\.py .*available: mine"):
        load_pipeline("_mine")


@pytest.mark.parametrize(
    "imported",
    [
        "from pipelines import _helper",
        "import pipelines._helper",
        "from pipelines._helper import x",
        "from . import _helper",
        "from ._helper import x",
        "def late():\n    from pipelines._helper import x",
        "from pipelines import _between",
    ],
)
def test_the_digest_is_that_of_a_module_and_what_it_imports_of_its_package(package, imported):
    files = {
        "mine": f"import json\n{imported}\n",
        "_between": "from pipelines import _helper",
        "_unused": "",
        "_helper": "x = 1",
    }
    package(**files)
    digest = code_digest("pipelines.mine")
    package(_unused="x = 2")
    assert code_digest("pipelines.mine") == digest
    package(_helper="x = 2")
    assert code_digest("pipelines.mine") != digest
    package(_helper="x = 1", mine=files["mine"] + "y = 1")
    assert code_digest("pipelines.mine") != digest
