"""``make run``, ``make up``, ``make down`` and ``make status``."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil

from fanfold.local import stack as stacks
from fanfold.local.progress import current_step, read_progress
from fanfold.local.settings import PIPELINE
from fanfold.local.stack import FINISHED, Stack, running_stack
from fanfold.local.state import Phase, StackFailed
from fanfold.local.summary import failure, summary
from fanfold.simulator.sample import user_ids
from fanfold.workspace.paths import Workspace

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fanfold.local.home import Home
    from fanfold.local.state import State

RUN_PREFIX = "make-run__"
"""Prefix of the run ids of ``make run``."""
STARTING = "Starting the simulator, an S3 server and Airflow"
PRINT_EVERY_S = 2.0
"""Minimum seconds between two lines of progress."""
_RUNS = f"/api/v2/dags/{PIPELINE}/dagRuns"


def write_users(folder: Path, users: int) -> Path:
    """Write a list of ``users`` users as CSV with the header ``user_id``; return its path."""
    path = folder / f"users-{users}.csv"
    path.write_text("\n".join(["user_id", *user_ids(users), ""]), "ascii")
    return path


def run(home: Home, users: int) -> int:
    """Trigger the pipeline for ``users`` users, show its progress and print a summary.

    Returns:
        0 if the run succeeded, 1 if it failed.

    Raises:
        StackFailed: The stack did not start or failed, or another `make run` uses this folder.
    """
    found = stacks.find(home)
    context: AbstractContextManager[Stack]
    if found is None:
        _say(STARTING)
        context = running_stack(home.root, say=_say)
    else:
        _check_free(home, found)
        context = contextlib.closing(Stack(home, found))
    with context as stack:
        items = write_users(home.inputs, users)
        run_id = f"{RUN_PREFIX}{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}"
        stack.wait_for_dag(PIPELINE)
        if found is None:
            _fail_unfinished(stack)
        _say(f"Triggering {PIPELINE} for {users} users")
        stack.trigger(PIPELINE, {"items_uri": items.as_uri()}, run_id=run_id)
        began = time.monotonic()
        try:
            state = _watch(stack, run_id)
        except BaseException:
            with contextlib.suppress(StackFailed):
                _fail(stack, run_id)
            raise
        if state != "success":
            _say("\n" + failure(stack, PIPELINE, run_id))
            return 1
        seconds = time.monotonic() - began
        _say(summary(stack, PIPELINE, run_id, seconds=seconds, stays=found is not None))
        return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _check_free(home: Home, state: State) -> None:
    """Raise if the stack in a folder belongs to another program or is not ready."""
    if state.owner is not None:
        raise StackFailed(
            f"Another `make run` (process {state.owner}) uses {home.root}. Wait until it ends, or"
            " stop it with `make down`; concurrent runs can share the stack of `make up`."
        )
    if state.phase is not Phase.READY:
        raise StackFailed(f"The stack in {home.root} is {state.phase}; try again soon.")


def _watch(stack: Stack, run_id: str) -> str:
    """Print the progress of a run until it is finished; return its state."""
    workspace = Workspace.of_run(stack.home.shared, PIPELINE, run_id)
    printed, printed_at = "", 0.0
    while True:
        state = stack.run_state(PIPELINE, run_id)
        if time.monotonic() - printed_at >= PRINT_EVERY_S or state in FINISHED:
            query = {"limit": 100}
            instances = stack.api("GET", f"{_RUNS}/{run_id}/taskInstances", params=query)
            step = current_step(instances["task_instances"])
            line = "  ".join(filter(None, (read_progress(workspace), step)))
            printed_at = time.monotonic()
            if line not in {"", printed}:
                printed = line
                _say(line)
        if state in FINISHED:
            return state
        stack.check()
        time.sleep(0.5)


def _fail_unfinished(stack: Stack) -> None:
    """Fail the runs of earlier `make run` commands that were killed: nothing waits for them."""
    query = {"state": ["queued", "running"], "run_id_pattern": f"{RUN_PREFIX}%"}
    for each in stack.api("GET", _RUNS, params=query)["dag_runs"]:
        _fail(stack, each["dag_run_id"])


def _fail(stack: Stack, run_id: str) -> None:
    """Mark a run as failed, which stops its tasks."""
    stack.api("PATCH", f"{_RUNS}/{run_id}", json={"state": "failed"}, timeout=5)


def up(home: Home) -> int:
    """Start a stack that stays, or find the one that runs; print its address and login."""
    found = stacks.find(home)
    if found is None:
        _say(STARTING)
        stack = stacks.start(home, say=_say)
    else:
        _check_free(home, found)
        stack = Stack(home, found)
    _say(_description(stack))
    stack.close()
    return 0


def down(home: Home) -> int:
    """Stop the stack in the folder."""
    _say("Stopped." if stacks.stop_stack(home) else "Nothing runs.")
    return 0


def status(home: Home) -> int:
    """Print what runs; return 0 if a stack is ready, 3 if not."""
    state = stacks.find(home)
    if state is None:
        print("Nothing runs.")
        return 3
    stack = Stack(home, state)
    for name, pid in {"supervisor": state.supervisor, **state.processes}.items():
        print(f"{name:<14} process {pid}{'' if psutil.pid_exists(pid) else ' (gone)'}")
    print(f"The stack is {state.phase}.\n{_description(stack)}")
    return 0 if state.phase is Phase.READY else 3


def _description(stack: Stack) -> str:
    return "\n".join(
        (
            f"Airflow    {stack.url}",
            f"  login    {stack.login}",
            f"  password {stack.password}",
            f"simulator  {stack.simulator_url}",
            f"S3         {stack.s3_url}",
            f"files      {stack.home.root}",
            "`make run` uses this stack; `make down` stops it.",
        )
    )
