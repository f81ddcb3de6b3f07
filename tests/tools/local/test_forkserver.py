import os
import sys

import pytest

from fanfold.local.forkserver import READY, Program, Request
from fanfold.local.processes import birth, descendants, spawn, stop
from fanfold.local.state import StackFailed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fork server is for Linux")

MAIN = """
import os, sys, time
preloaded_in = os.getpid()
def main():
    what = sys.argv[1]
    print(what, os.getpid() != preloaded_in, os.getsid(0) == os.getpid(), flush=True)
    if what == "sleep":
        time.sleep(600)
    if what == "raise":
        raise ValueError("no")
    if what == "exit":
        sys.exit(7)
    if what == "text":
        sys.exit("a last word")
"""


@pytest.fixture
def folder(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)  # longer than a socket's path may be
    deep.mkdir(parents=True)
    (tmp_path / "big_program.py").write_text(MAIN)
    server = spawn(
        [
            sys.executable,
            "-m",
            "fanfold.local.forkserver",
            str(deep),
            "big_program:main",
            "big_program",
        ],
        log=tmp_path / "server.log",
        environment={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    while not (deep / READY).exists():
        assert server.poll() is None, (tmp_path / "server.log").read_text()
    yield deep
    stop(lambda: descendants([server.pid]))
    server.wait()


def request(folder, what):
    return Request(["big", what], str(folder / f"{what}.log"), [])


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [("end", 0, ""), ("raise", 1, "ValueError: no"), ("exit", 7, ""), ("text", 1, "a last word")],
)
def test_a_program_is_forked_in_a_session_of_its_own_and_its_end_is_told(folder, what, code, said):
    with Program(folder, request(folder, what)) as program:
        assert program.wait(10) == code
        assert program.poll() == code
    lines = (folder / f"{what}.log").read_text()
    assert lines.startswith(f"{what} True True\n")
    assert said in lines


def test_a_program_that_is_killed_is_told_by_its_signal(folder):
    with Program(folder, request(folder, "sleep")) as program:
        assert program.poll() is None
        assert birth(program.pid)
        os.kill(program.pid, 15)
        assert program.wait(10) == -15


def test_programs_run_side_by_side_and_one_forgotten_does_not_matter(folder):
    Program(folder, request(folder, "end")).close()
    with Program(folder, request(folder, "sleep")) as first:
        with Program(folder, request(folder, "exit")) as second:
            assert second.wait(10) == 7
        assert first.poll() is None


def test_a_folder_without_a_server_is_an_error(tmp_path):
    with pytest.raises(StackFailed, match="does not answer"):
        Program(tmp_path, request(tmp_path, "end"))
