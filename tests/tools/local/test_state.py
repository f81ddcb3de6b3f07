import fcntl
import subprocess
import sys

import pytest

from fanfold.local.home import Home
from fanfold.local.stack import find
from fanfold.local.state import Phase, State, read

LOCK = """
import fcntl, sys
with open(sys.argv[1], "w") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""

SUPERVISED = """
import sys, time
from pathlib import Path
from fanfold.errors import WorkspaceUnavailable
from fanfold.local import settings, supervisor
from fanfold.local.home import Home
from fanfold.local.state import State

def on_a_full_disk(_):
    raise WorkspaceUnavailable("The disk is full.")

supervisor.Supervisor._start = on_a_full_disk
state = State(1, None, "http://a", "http://b", "http://c", time.time())
sys.exit(supervisor.Supervisor(Home(Path(sys.argv[1])), state, settings.Ports(1, 2, 3, 4)).run())
"""


@pytest.fixture
def state():
    return State(1, 2, "http://a", "http://b", "http://c", 3.5, Phase.READY, processes={"s3": 4})


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"owner": 1}', '{"phase": "?"}'])
def test_an_unreadable_state_counts_as_none(tmp_path, text):
    assert read(tmp_path / "state.json") is None
    (tmp_path / "state.json").write_text(text)
    assert read(tmp_path / "state.json") is None


def test_a_stack_is_found_only_while_its_supervisor_holds_the_lock(state, tmp_path):
    home = Home(tmp_path)
    state.write(home.state)
    assert find(home) is None
    command = [sys.executable, "-c", LOCK, str(home.lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout.readline() == b"locked\n"
        assert find(home) == state
        supervisor.kill()
    assert find(home) is None
    with home.lock.open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_stack_that_a_full_disk_ends_says_so_in_a_sentence(tmp_path):
    """In a process of its own: a supervisor ignores signals and stops its children."""
    ended = subprocess.run([sys.executable, "-c", SUPERVISED, str(tmp_path)], check=False)
    assert ended.returncode == 1
    found = read(Home(tmp_path).state)
    assert (found.phase, found.message) == (Phase.FAILED, "The disk is full.")
