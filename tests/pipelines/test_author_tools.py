"""``python -m fanfold new`` and ``try``: what an author sees, also of mistakes."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipelines
from fanfold.__main__ import main, new
from fanfold.errors import BadInput

ROOT = Path(__file__).parents[2]
ITEMS = {"api": "K042", "compute": "27", "function": "360"}
WRONG_CHART = """
from dataclasses import replace
from fanfold import Chart
PIPELINE = replace(PIPELINE, charts=[Chart("Steps", sql="SELECT step FROM dataset", spec={})])
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder whose pipelines are in the package ``pipelines``."""
    folder = tmp_path / "include" / "pipelines"
    monkeypatch.setattr(pipelines, "__path__", [str(folder)])
    monkeypatch.syspath_prepend(str(folder.parent))  # the package ``functions`` has no __init__
    monkeypatch.setenv("FUNCTIONS", str(folder.with_name("functions")))
    loaded = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - loaded:
        if name.startswith(("pipelines.", "functions")):
            del sys.modules[name]


@pytest.fixture
def made(root):
    """The module of a Compute pipeline, of which a test makes a wrong one."""
    return new("mine", "compute", root)[0]


def output(capsys, *arguments):
    code = main(arguments)
    return code, *capsys.readouterr()


@pytest.mark.parametrize("kind", ITEMS)
def test_a_new_pipeline_passes_its_test_and_can_be_tried(kind, root, capsys):
    files = new("mine", kind, root)
    assert [path.relative_to(root).as_posix() for path in files] == [
        *("include/pipelines/mine.py", "dags/mine.py", "tests/pipelines/test_mine.py"),
        *(["include/functions/mine.py"] if kind == "function" else []),
    ]
    spec = importlib.util.spec_from_file_location("test_mine", files[2])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (test,) = (value for name, value in vars(module).items() if name.startswith("test_"))
    test()
    report = root / "report.html"
    code, text, errors = output(
        capsys, "try", "mine", "--item", ITEMS[kind], "--report", str(report)
    )
    assert (code, errors) == (0, "")
    assert f"{ITEMS[kind]}: ok" in text
    for section in ("records", "rows", "rejected rows", "fold mine_by_"):
        assert f"\n{section}" in text
    assert "</html>" in report.read_text("utf-8")


def test_new_files_pass_the_linter_and_their_dag_parses(root):
    files = [path for kind in ITEMS for path in new(f"mine_{kind}", kind, root)]
    ruff = Path(sys.executable).with_name("ruff")
    for folder in ("include/pipelines", "include/functions", "dags"):
        shutil.copy(ROOT / folder / "ruff.toml", root / folder)
    shutil.copy(ROOT / "pyproject.toml", root)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [ruff, *command, "--no-cache", *files],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    dags = [str(path) for path in files if path.parent.name == "dags"]
    parse = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("parse_dags.py")), *dags]
    done = subprocess.run(
        parse, env={"AIRFLOW_HOME": str(root)}, capture_output=True, text=True, check=True
    )
    imports, parsed = (json.loads(line) for line in done.stdout.splitlines() if line[0] == "{")
    for path in dags:
        assert imports[path].get("heavy") == [], imports[path]
        assert parsed[path]["dags"][Path(path).stem]["items"]


@pytest.mark.parametrize(
    "name", ["", "Mine", "my-pipeline", "_mine", "1st", "x" * 41, "../x", "class", "dataset", "é"]
)
def test_a_wrong_name_is_refused(name, root):
    with pytest.raises(BadInput, match=r"lower-case letters, digits and '_'"):
        new(name, "api", root)
    assert not list(root.iterdir())


@pytest.mark.parametrize("place", range(3))
def test_no_file_is_overwritten(place, root):
    path = new("mine", "api", root)[place]
    texts = {each: each.read_bytes() for each in root.rglob("*.py")}
    for other in set(texts) - {path}:
        other.unlink()
    with pytest.raises(BadInput, match=f"{path} exists"):
        new("mine", "compute", root)
    assert list(root.rglob("*.py")) == [path]
    assert path.read_bytes() == texts[path]


def test_a_module_that_cannot_be_imported_is_named_with_the_line(made, capsys):
    made.write_text("first = 1\nsecond = first / 0\n")
    code, text, errors = output(capsys, "try", "mine", "--item", "1")
    assert (code, text) == (1, "")
    assert "mine.py cannot be imported: ZeroDivisionError: division by zero (mine.py:2)" in errors


@pytest.mark.usefixtures("made")
def test_an_invalid_item_is_answered_with_what_a_valid_one_is(capsys):
    code, text, errors = output(capsys, "try", "mine", "--item", "-1")
    assert (code, text) == (1, "")
    assert "an item is a whole number above 0" in errors


def test_the_rows_are_shown_although_a_chart_is_wrong(made, capsys):
    made.write_text(made.read_text("utf-8") + WRONG_CHART)
    code, text, errors = output(capsys, "try", "mine", "--item", "27")
    assert code == 1
    assert "rows: 1\n" in text
    assert "Chart 'Steps' of pipeline 'mine'" in errors
    assert '"step"' in errors


def test_try_takes_the_attributes_of_the_item(made, capsys):
    text = made.read_text("utf-8").replace("int(item.key)", 'int(item.attributes["start"])')
    made.write_text(text)
    given = ("try", "mine", "--item", "1", "--attributes", '{"start": 27}')
    code, text, _ = output(capsys, *given)
    assert code == 0
    assert '{"steps": 111' in text


def test_an_exception_in_a_function_is_the_reason_of_the_item_with_the_line(made, capsys):
    text = made.read_text("utf-8").replace("int(item.key)", "int(item.kee)")
    made.write_text(text)
    line = text[: text.index("item.kee")].count("\n") + 1
    code, text, _ = output(capsys, "try", "mine", "--item", "27")
    assert code == 1
    assert (
        f"27: failed (AttributeError: 'Item' object has no attribute 'kee' (mine.py:{line}))"
        in text
    )
