"""A worker that is stopped returns its tasks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fanfold.airflow.worker import drain_seconds
from fanfold.errors import BadConfiguration

# A pool process with a task below it that ignores SIGTERM, as Airflow's tasks.
SCRIPT = """
import os, signal, sys, time
from fanfold.airflow import worker
worker.KILL_AFTER = 0.2
ready, said = os.pipe()
supervisor = os.fork()
if supervisor == 0:
    task = os.fork()
    if task == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(said, b".")
        while True:
            time.sleep(60)
    _, status = os.waitpid(task, 0)
    os._exit(os.WTERMSIG(status))
os.read(ready, 1)
print(worker.end_tasks_after(0), os.waitstatus_to_exitcode(os.waitpid(supervisor, 0)[1]))
"""


def test_a_task_that_ignores_sigterm_is_killed():
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.split() == ["1", "9"]


def test_the_drain_is_a_minute_unless_it_is_set():
    assert drain_seconds({}) == 60
    assert drain_seconds({"FANFOLD_DRAIN_SECONDS": "0"}) == 0


@pytest.mark.parametrize("value", ["-1", "soon", "inf", "nan"])
def test_a_wrong_drain_is_named(value):
    with pytest.raises(BadConfiguration, match="FANFOLD_DRAIN_SECONDS"):
        drain_seconds({"FANFOLD_DRAIN_SECONDS": value})
