"""The vendored JavaScript of the run page matches its declaration in pyproject.toml."""

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
VENDOR = Path("include/fanfold/airflow/page/static/vendor")
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
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (ROOT / VENDOR).iterdir()
    }
    recorded = {
        name: digest for library in declared.values() for name, digest in library["sha256"].items()
    }
    assert digests == recorded


def test_every_library_declares_its_origin_and_includes_its_licence(declared):
    for name, library in declared.items():
        assert set(library) == {"package", "version", "licence", "integrity", "files", "sha256"}
        assert library["integrity"].startswith("sha512-")
        assert library["files"].keys() == library["sha256"].keys()
        assert f"{name}.LICENSE" in library["files"]


def test_no_library_of_the_run_page_evaluates_strings():
    """The Content-Security-Policy forbids it. Swagger UI is loaded by the page /docs only, and tries."""
    files = [path for path in (ROOT / VENDOR).iterdir() if not path.name.startswith("swagger-ui")]
    makers = re.compile(r"\beval\s*\(|\bFunction\s*\(")
    assert files
    assert [path.name for path in files if makers.search(path.read_text("utf-8"))] == []


def declaration(package=PACKAGE, path="dist/draw.js", integrity=None):
    """The part of pyproject.toml that declares the library `drawing`."""
    archive = hashlib.sha512(packed(package)).digest()
    return f"""
        [tool.fanfold.vendored.drawing]
        package = "drawing"
        version = "1.0.0"
        licence = "MIT"
        integrity = "{integrity or "sha512-" + base64.b64encode(archive).decode()}"
        files = {{ "drawing.js" = "{path}", "drawing.LICENSE" = "LICENSE" }}
        [tool.fanfold.vendored.drawing.sha256]
        "drawing.js" = "{hashlib.sha256(PACKAGE["package/dist/draw.js"]).hexdigest()}"
        "drawing.LICENSE" = "{hashlib.sha256(PACKAGE["package/LICENSE"]).hexdigest()}"
    """


def packed(package):
    """Return a package as npm packs it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in package.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


class Project:
    """A project with one library, and a fake npm that serves it."""

    def __init__(self, folder):
        self.root = folder / "project"
        self.folder = self.root / VENDOR
        self.programs = folder / "bin"
        (self.root / SCRIPT).parent.mkdir(parents=True)
        shutil.copy(ROOT / SCRIPT, self.root / SCRIPT)
        self.programs.mkdir()
        # A fake, because npm needs a registry and tests have no network.
        npm = self.programs / "npm"
        npm.write_text(
            "#!/bin/sh\n"
            'test "$*" = "pack drawing@1.0.0 --json" || { echo "npm error 404" >&2; exit 1; }\n'
            f"/bin/cp {folder / 'drawing.tgz'} . && "
            """echo '[{"filename": "drawing.tgz"}]'\n"""
        )
        npm.chmod(0o755)
        self.archive = folder / "drawing.tgz"
        self.archive.write_bytes(packed(PACKAGE))
        self.declare(declaration())

    def declare(self, text):
        (self.root / "pyproject.toml").write_text(text)

    def vendor(self):
        """Run the script; return exit code, standard output and standard error."""
        done = subprocess.run(
            [sys.executable, self.root / SCRIPT],
            env={**os.environ, "PATH": str(self.programs)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def files(self):
        return {path.name: path.read_bytes() for path in self.folder.glob("*")}


@pytest.fixture
def project(tmp_path):
    """A project without vendored files."""
    return Project(tmp_path)


def test_the_declared_files_are_written(project):
    code, output, _ = project.vendor()
    assert code == 0
    assert f"{VENDOR}/drawing.js: 18 bytes" in output
    assert project.files() == {
        "drawing.js": PACKAGE["package/dist/draw.js"],
        "drawing.LICENSE": PACKAGE["package/LICENSE"],
    }


def test_a_package_with_another_integrity_is_rejected_before_any_write(project):
    other = packed({**PACKAGE, "package/more.js": b""})
    project.archive.write_bytes(other)
    code, _, error = project.vendor()
    assert code == 1
    assert "drawing@1.0.0 has digest sha512-" in error
    assert base64.b64encode(hashlib.sha512(other).digest()).decode() in error
    assert project.files() == {}


def test_a_file_with_another_digest_is_rejected_before_any_write(project):
    package = {**PACKAGE, "package/dist/draw.js": b"export default 2;\n"}
    project.archive.write_bytes(packed(package))
    project.declare(declaration(package))
    code, _, error = project.vendor()
    assert code == 1
    assert hashlib.sha256(b"export default 2;\n").hexdigest() in error
    assert project.files() == {}


def test_a_path_missing_in_the_package_is_named(project):
    project.declare(declaration(path="dist/other.js"))
    code, _, error = project.vendor()
    assert code == 1
    assert "drawing@1.0.0 has no file dist/other.js. Correct `files`" in error


def test_a_package_that_npm_cannot_download_is_named_after_its_message(project):
    project.declare(declaration().replace("1.0.0", "9.9.9"))
    code, _, error = project.vendor()
    assert code == 1
    assert re.search(r"(?s)npm error 404.*npm cannot download drawing@9\.9\.9", error)
    assert "Traceback" not in error


def test_a_missing_npm_is_reported_with_the_package_to_install(project):
    (project.programs / "npm").unlink()
    code, _, error = project.vendor()
    assert code == 1
    assert "npm is not on the PATH. Install Node.js" in error
