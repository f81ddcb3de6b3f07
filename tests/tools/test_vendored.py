"""The JavaScript that the run page brings with it is what pyproject.toml declares."""

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
"""What is in the package of the library `drawing` of the tests."""


@pytest.fixture
def declared():
    """The libraries that pyproject.toml declares."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["fanfold"]["vendored"]


def test_every_file_is_declared_with_its_digest(declared):
    """Run scripts/vendor where one is missing or another, and declare what else is to be there."""
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (ROOT / VENDOR).iterdir()
    }
    recorded = {
        name: digest for library in declared.values() for name, digest in library["sha256"].items()
    }
    assert digests == recorded


def test_every_library_says_what_it_is_and_brings_its_licence(declared):
    for name, library in declared.items():
        assert set(library) == {"package", "version", "licence", "integrity", "files", "sha256"}
        assert library["integrity"].startswith("sha512-")
        assert library["files"].keys() == library["sha256"].keys()
        assert f"{name}.LICENSE" in library["files"]


def test_no_file_evaluates_text_as_code():
    """The page's Content-Security-Policy refuses it."""
    files = list((ROOT / VENDOR).iterdir())
    makers = re.compile(r"\beval\s*\(|\bFunction\s*\(")
    assert files
    assert [path.name for path in files if makers.search(path.read_text("utf-8"))] == []


def declaration(package=PACKAGE):
    """What pyproject.toml says of the library `drawing`."""
    archive = hashlib.sha512(packed(package)).digest()
    return f"""
        [tool.fanfold.vendored.drawing]
        package = "drawing"
        version = "1.0.0"
        licence = "MIT"
        integrity = "sha512-{base64.b64encode(archive).decode()}"
        files = {{ "drawing.js" = "dist/draw.js", "drawing.LICENSE" = "LICENSE" }}
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
    """A project with one library, and a registry that has it."""

    def __init__(self, folder):
        self.root = folder / "project"
        self.folder = self.root / VENDOR
        self.programs = folder / "bin"
        (self.root / SCRIPT).parent.mkdir(parents=True)
        shutil.copy(ROOT / SCRIPT, self.root / SCRIPT)
        self.programs.mkdir()
        # In npm's place, which asks a registry: tests have no network.
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

    def vendor(self, *options):
        """Run the script; return its code, what it says, and what it complains of."""
        done = subprocess.run(
            [sys.executable, self.root / SCRIPT, *options],
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
    """A project whose files are not fetched yet."""
    return Project(tmp_path)


def test_a_library_is_fetched_as_it_is_declared(project):
    code, said, _ = project.vendor()
    assert code == 0
    assert f"{VENDOR}/drawing.js: 18 bytes" in said
    assert project.files() == {
        "drawing.js": PACKAGE["package/dist/draw.js"],
        "drawing.LICENSE": PACKAGE["package/LICENSE"],
    }
    assert project.vendor("--check") == (0, "", "")


def test_another_package_is_refused_and_touches_nothing(project):
    other = packed({**PACKAGE, "package/more.js": b""})
    project.archive.write_bytes(other)
    code, _, complaint = project.vendor()
    assert code == 1
    assert "drawing@1.0.0 is not the package that pyproject.toml declares" in complaint
    assert base64.b64encode(hashlib.sha512(other).digest()).decode() in complaint
    assert project.files() == {}


def test_a_file_that_is_not_the_recorded_one_is_refused_and_touches_nothing(project):
    package = {**PACKAGE, "package/dist/draw.js": b"export default 2;\n"}
    project.archive.write_bytes(packed(package))
    project.declare(declaration(package))
    code, _, complaint = project.vendor()
    assert code == 1
    assert hashlib.sha256(b"export default 2;\n").hexdigest() in complaint
    assert project.files() == {}


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (
            lambda folder: (folder / "drawing.js").write_bytes(b"export default 2;\n"),
            r"vendor/drawing\.js is not what .* declares: run scripts/vendor",
        ),
        (
            lambda folder: (folder / "drawing.js").unlink(),
            r"vendor/drawing\.js is missing: run scripts/vendor",
        ),
        (
            lambda folder: (folder / "more.js").write_bytes(b""),
            r"vendor/more\.js is not declared .*: declare it there, or remove it",
        ),
    ],
    ids=["changed", "missing", "undeclared"],
)
def test_the_check_names_the_file_and_the_fix_without_npm(project, spoil, complaint):
    project.vendor()
    (project.programs / "npm").unlink()
    spoil(project.folder)
    code, said, complained = project.vendor("--check")
    assert (code, said) == (1, "")
    assert re.search(complaint, complained)
