"""The vendored JavaScript matches its declaration in pyproject.toml."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE_FOLDER = Path("include/fanfold")
FOLDERS = {"airflow/page/static/vendor", "stages/reporting/vendor"}
RUN_PAGE = ROOT / PACKAGE_FOLDER / "airflow/page/static/vendor"


@pytest.fixture
def declared():
    """The libraries that pyproject.toml declares."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["fanfold"]["vendored"]


def test_every_file_is_declared_with_its_digest(declared):
    """If this fails: run scripts/vendor for missing or changed files, declare or remove others."""
    digests = {
        (folder, path.name): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in FOLDERS
        for path in (ROOT / PACKAGE_FOLDER / folder).iterdir()
    }
    recorded = {
        (library["folder"], name): digest
        for library in declared.values()
        for name, digest in library["sha256"].items()
    }
    assert digests == recorded


def test_every_library_declares_its_origin_and_includes_its_licence(declared):
    for name, library in declared.items():
        facts = {"package", "folder", "version", "licence", "integrity", "files", "sha256"}
        assert set(library) == facts
        assert library["integrity"].startswith("sha512-")
        assert library["files"].keys() == library["sha256"].keys()
        assert f"{name}.LICENSE" in library["files"]


def test_no_library_of_the_run_page_evaluates_strings():
    """The Content-Security-Policy forbids it. Swagger UI is loaded by the page /docs only, and tries."""
    files = [path for path in RUN_PAGE.iterdir() if not path.name.startswith("swagger-ui")]
    makers = re.compile(r"\beval\s*\(|\bFunction\s*\(")
    assert files
    assert [path.name for path in files if makers.search(path.read_text("utf-8"))] == []
