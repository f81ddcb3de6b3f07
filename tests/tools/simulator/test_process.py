"""The simulator's process: its options, its end, and what it imports."""

import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from fanfold.simulator.process import running


def test_it_ends_when_its_parent_is_killed():
    program = (
        "from fanfold.simulator.process import running\n"
        "with running() as s:\n  print(s.url, flush=True)\n  input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        port = int(parent.stdout.readline().rpartition(b":")[2])
        parent.kill()
    deadline = time.monotonic() + 10
    while True:
        # The port tells: the process is not a child of this one.
        with socket.socket() as plain:
            if plain.connect_ex(("127.0.0.1", port)):
                break
        assert time.monotonic() < deadline


def test_options_give_the_faults_and_a_token_file(tmp_path):
    (tmp_path / "token").write_text("of-a-file\n")
    token = ("--token-file", str(tmp_path / "token"))
    faults = ("--fault", "busy=0.25", "--uid-fault", "7=drop", "--path-fault", "/x=http_500")
    with running(*token, *faults) as simulator:
        assert simulator.token == "of-a-file"
        url = f"{simulator.url}/2/account/get_uid.json?access_token=of-a-file"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - ours
            assert json.load(answer)["uid"]
        settings = simulator.control()
    assert settings["error_rate"] == {"busy": 0.25}
    assert (settings["uids"], settings["paths"]) == ({"7": "drop"}, {"/x": "http_500"})


def test_a_wrong_option_is_named(capsys):
    for options, said in [
        (["--fault", "bsy=0.1"], "no fault 'bsy'"),
        (["--fault", "busy"], "'busy' must have the form NAME=VALUE"),
        (["--latency-ms", "-1"], "latency_ms must be"),
        (["--token", "a", "--token-file", "b"], "not both"),
    ]:
        with pytest.raises(SystemExit):
            running(*options).__enter__()
        assert said in capsys.readouterr().err
