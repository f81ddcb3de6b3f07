import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from fanfold.errors import BadConfiguration
from fanfold.simulator.counters import Tally
from fanfold.simulator.process import running

SIMULATOR = [sys.executable, "-m", "fanfold.simulator"]


def ended(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def listens(port):
    """Asked of the port: nobody may have collected the process yet, as it is not our child."""
    with socket.socket() as bare:
        return bare.connect_ex(("127.0.0.1", port)) == 0


def test_the_simulator_ends_with_the_block():
    with running("--seed", "4") as simulator:
        assert simulator.control()["seed"] == 4
    assert ended(simulator.pid)


def test_the_simulator_ends_when_the_block_fails():
    with pytest.raises(RuntimeError, match="the body"), running() as simulator:
        raise RuntimeError("the body")
    assert ended(simulator.pid)


def test_the_simulator_ends_when_its_starter_is_killed():
    program = (
        "from fanfold.simulator.process import running\n"
        "with running() as s:\n  print(s.url, flush=True)\n  input()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with starter:
        port = int(starter.stdout.readline().rpartition(b":")[2])
        starter.kill()
    deadline = time.monotonic() + 10
    while listens(port):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number):
    with subprocess.Popen(SIMULATOR, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, said = process.communicate(timeout=10)
    assert (process.returncode, said) == (0, b"")


def test_a_port_in_use_is_told():
    with running() as first:
        port = first.url.rpartition(":")[2]
        with pytest.raises(BadConfiguration, match=f"Cannot listen on 127.0.0.1:{port}"):
            running("--port", port).__enter__()


def test_the_token_may_lie_in_a_file_and_the_port_is_written_to_one(tmp_path):
    (tmp_path / "token").write_text("of-a-file\n")
    with running(
        "--token-file", str(tmp_path / "token"), "--port-file", str(tmp_path / "port")
    ) as simulator:
        assert simulator.token == "of-a-file"
        port = (tmp_path / "port").read_text().strip()
        assert simulator.url == f"http://127.0.0.1:{port}"
        url = f"{simulator.url}/2/account/get_uid.json?access_token=of-a-file"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - ours
            assert json.load(answer)["uid"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fault", "bsy=0.1"], "no fault 'bsy'"),
        (["--fault", "busy"], "'busy' must have the form NAME=VALUE"),
        (["--fault", "busy=x"], "'x' must be a share"),
        (["--latency-ms", "-1"], "latency_ms must be"),
        (["--token", "a", "--token-file", "b"], "not both"),
        (["--token-file", "/nowhere"], "/nowhere cannot be read"),
    ],
)
def test_a_wrong_option_is_named(capsys, options, said):
    with pytest.raises(SystemExit):
        running(*options).__enter__()
    assert said in capsys.readouterr().err


def test_faults_can_be_given_on_the_command_line():
    with running(
        "--fault", "busy=0.25", "--uid-fault", "7=drop", "--path-fault", "/x=http_500"
    ) as simulator:
        settings = simulator.control()
    assert settings["error_rate"] == {"busy": 0.25}
    assert (settings["uids"], settings["paths"]) == ({"7": "drop"}, {"/x": "http_500"})


def test_it_imports_nothing_heavy():
    """It starts in a fraction of a second, so it can be started by a single test."""
    program = (
        "import sys, fanfold.simulator.__main__, fanfold.simulator.process\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    names = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert [
        name for name in ("airflow", "pandas", "pyarrow", "numpy", "requests") if name in names
    ] == []


def test_counts_by_uid_have_bounded_memory():
    tally = Tally(kept=3)
    assert [tally.add(key) for key in "aabcd"] == [1, 2, 1, 1, 1]
    assert (tally.counts, tally.forgotten) == ({"b": 1, "c": 1, "d": 1}, 1)
    long = ["x" * 100_000 + end for end in "aab"]
    assert [tally.add(key) for key in long] == [1, 2, 1]
    assert tally.of(long[0]) == 2
    assert max(map(len, tally.counts)) <= 64
