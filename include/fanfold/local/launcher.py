"""``make run``, ``make up``, ``make down`` and ``make status``."""

from __future__ import annotations

import contextlib
import csv
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil

from fanfold.local import stack as stacks
from fanfold.local.progress import Display, current_step, read_progress
from fanfold.local.settings import PIPELINE
from fanfold.local.stack import FINISHED, Stack, running_stack
from fanfold.local.state import Phase, StackFailed
from fanfold.local.summary import failure, summary
from fanfold.simulator.sample import user_ids
from fanfold.workspace import Workspace, whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fanfold.local.home import Home
    from fanfold.local.state import State

RUN_PREFIX = "make-run__"
"""Prefix of the run ids of ``make run``."""
_RUNS = f"/api/v2/dags/{PIPELINE}/dagRuns"


def write_users(folder: Path, users: int) -> Path:
    """Write a list of ``users`` users as CSV with the header ``user_id``; return its path."""
    path = folder / f"users-{users}.csv"
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id"])
        writer.writerows([uid] for uid in user_ids(users))
    return path


def run(home: Home, users: int) -> int:
    """Trigger the pipeline for ``users`` users, show its progress and print a summary.

    Returns:
        0 if the run succeeded, 1 if it failed.

    Raises:
        StackFailed: The stack did not start or failed, or another `make run` uses this folder.
    """
    with _any_stack(home) as (stack, stays):
        items = write_users(home.inputs, users)
        run_id = f"{RUN_PREFIX}{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}"
        stack.wait_for_dag(PIPELINE)
        if not stays:
            _fail_unfinished(stack)
        print(f"Triggering {PIPELINE} for {users} users", flush=True)
        stack.trigger(PIPELINE, {"items_uri": items.as_uri()}, run_id=run_id)
        began = time.monotonic()
        try:
            state = _watch(stack, run_id)
        except BaseException:
            with contextlib.suppress(StackFailed):
                _fail(stack, run_id)
            raise
        if state != "success":
            print("\n" + failure(stack, PIPELINE, run_id), flush=True)
            return 1
        seconds = time.monotonic() - began
        print(summary(stack, PIPELINE, run_id, seconds=seconds, stays=stays), flush=True)
        return 0


@contextmanager
def _any_stack(home: Home) -> Iterator[tuple[Stack, bool]]:
    """Yield a stack and whether it stays: that of ``make up``, or one for this run alone."""
    found = stacks.find(home)
    if found is None:
        print("Starting the simulator, an S3 server and Airflow", flush=True)
        with running_stack(home.root, say=_say) as stack:
            yield stack, False
        return
    _check_free(home, found)
    stack = Stack(home, found)
    try:
        yield stack, True
    finally:
        stack.close()


def _say(step: str) -> None:
    print(f"  {step}", flush=True)


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
    """Show the progress of a run until it is finished; return its state."""
    workspace = Workspace.of_run(stack.home.shared, PIPELINE, run_id)
    shown = Display()
    while True:
        state = stack.run_state(PIPELINE, run_id)
        query = {"limit": 100}
        instances = stack.api("GET", f"{_RUNS}/{run_id}/taskInstances", params=query)
        shown.show(read_progress(workspace), current_step(instances["task_instances"]))
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
        print("Starting the simulator, an S3 server and Airflow", flush=True)
        stack = stacks.start(home, say=_say)
    else:
        _check_free(home, found)
        stack = Stack(home, found)
    print(_description(stack), flush=True)
    stack.close()
    return 0


def down(home: Home) -> int:
    """Stop the stack in the folder."""
    print("Stopped." if stacks.stop_stack(home) else "Nothing runs.", flush=True)
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
