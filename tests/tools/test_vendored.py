"""The vendored JavaScript matches its declaration in pyproject.toml."""

import base64
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE_FOLDER = Path("include/fanfold")
FOLDERS = {"airflow/page/static/vendor", "stages/reporting/vendor"}
RUN_PAGE = ROOT / PACKAGE_FOLDER / "airflow/page/static/vendor"
SCRIPT = Path("scripts/vendor")

PACKAGE = {"package/dist/draw.js": b"export default 1;\n", "package/LICENSE": b"MIT\n"}
"""Content of the package `drawing`."""


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


def packed(package):
    """Return a package as npm packs it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in package.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def vendored(folder, served, *, integrity_of):
    """Run the script in a project with one library; return exit code, stderr and files.

    npm is a fake that serves a package: it needs a registry, and tests have no network.
    """
    root, programs, archive = folder / "project", folder / "bin", folder / "drawing.tgz"
    (root / SCRIPT).parent.mkdir(parents=True)
    shutil.copy(ROOT / SCRIPT, root / SCRIPT)
    programs.mkdir()
    archive.write_bytes(packed(served))
    npm = programs / "npm"
    npm.write_text(
        f"""#!/bin/sh\n/bin/cp {archive} . && echo '[{{"filename": "drawing.tgz"}}]'\n"""
    )
    npm.chmod(0o755)
    integrity = base64.b64encode(hashlib.sha512(packed(integrity_of)).digest()).decode()
    (root / "pyproject.toml").write_text(f"""
        [tool.fanfold.vendored.drawing]
        package = "drawing"
        folder = "vendor"
        version = "1.0.0"
        licence = "MIT"
        integrity = "sha512-{integrity}"
        files = {{ "drawing.js" = "dist/draw.js", "drawing.LICENSE" = "LICENSE" }}
        [tool.fanfold.vendored.drawing.sha256]
        "drawing.js" = "{hashlib.sha256(PACKAGE["package/dist/draw.js"]).hexdigest()}"
        "drawing.LICENSE" = "{hashlib.sha256(PACKAGE["package/LICENSE"]).hexdigest()}"
    """)
    done = subprocess.run(
        [sys.executable, root / SCRIPT],
        env={**os.environ, "PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    files = {path.name: path.read_bytes() for path in (root / PACKAGE_FOLDER / "vendor").glob("*")}
    return done.returncode, done.stderr, files


def test_the_declared_files_are_written(tmp_path):
    files = {
        "drawing.js": PACKAGE["package/dist/draw.js"],
        "drawing.LICENSE": PACKAGE["package/LICENSE"],
    }
    assert vendored(tmp_path, PACKAGE, integrity_of=PACKAGE) == (0, "", files)


OTHER = {**PACKAGE, "package/dist/draw.js": b"export default 2;\n"}


@pytest.mark.parametrize(
    ("integrity_of", "reason"),
    [
        (PACKAGE, "drawing@1.0.0 has digest sha512-"),
        (OTHER, hashlib.sha256(OTHER["package/dist/draw.js"]).hexdigest()),
    ],
    ids=["package", "file"],
)
def test_another_digest_is_rejected_before_any_write(tmp_path, integrity_of, reason):
    code, error, files = vendored(tmp_path, OTHER, integrity_of=integrity_of)
    assert (code, files) == (1, {})
    assert reason in error
