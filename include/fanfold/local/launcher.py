"""``make run``, ``make up``, ``make down`` and ``make status``."""

from __future__ import annotations

import contextlib
import csv
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fanfold.local import stack as stacks
from fanfold.local.metadata import RUN_PREFIX
from fanfold.local.progress import current_step, display, read_progress
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
    from fanfold.local.progress import Display
    from fanfold.local.state import State


def write_users(folder: Path, users: int) -> Path:
    """Write the list for that many users as CSV with the header ``user_id``; return its path."""
    path = folder / f"users-{users}.csv"
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id"])
        writer.writerows([uid] for uid in user_ids(users))
    return path


def run(home: Home, users: int) -> int:
    """Trigger the pipeline for that many users, show how it goes and what came out.

    Returns:
        0 if the run succeeded, 1 if it did not.

    Raises:
        StackFailed: The stack did not start, or somebody else uses this folder.
    """
    with _any_stack(home) as (stack, stays):
        items = write_users(home.inputs, users)
        run_id = f"{RUN_PREFIX}{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}"
        print(f"Triggering {PIPELINE} for {users} users", flush=True)
        stack.trigger(PIPELINE, {"items_uri": items.as_uri()}, run_id=run_id)
        began = time.monotonic()
        try:
            with display() as shown:
                state = _watch(stack, run_id, shown)
        except BaseException:
            if stays:
                _give_up(stack, run_id)
            raise
        if state != "success":
            print("\n" + failure(stack, PIPELINE, run_id), flush=True)
            return 1
        seconds = time.monotonic() - began
        print(summary(stack, PIPELINE, run_id, seconds=seconds, stays=stays), flush=True)
        return 0


@contextmanager
def _any_stack(home: Home) -> Iterator[tuple[Stack, bool]]:
    """Yield a stack, and whether it stays: that of ``make up``, or one for this run alone."""
    found = stacks.find(home)
    if found is None:
        print("Starting the simulator, an S3 server and Airflow", flush=True)
        with running_stack(home.root, say=lambda step: print(f"  {step}", flush=True)) as stack:
            yield stack, False
        return
    if found.owner is not None or found.phase is not Phase.READY:
        raise StackFailed(_busy(home, found))
    stack = Stack(home, found)
    try:
        yield stack, True
    finally:
        stack.close()


def _busy(home: Home, state: State) -> str:
    if state.owner is not None:
        return (
            f"Another `make run` (process {state.owner.pid}) works in {home.root}. Wait for it, or"
            " stop it with `make down`; several runs at once share the stack of `make up`."
        )
    return f"The stack in {home.root} is {state.phase}; try again soon, or `make down`."


def _watch(stack: Stack, run_id: str, shown: Display) -> str:
    """Show how far the run is until it is finished; return its state."""
    workspace = Workspace.of_run(stack.home.shared, PIPELINE, run_id)
    path = f"/api/v2/dags/{PIPELINE}/dagRuns/{run_id}/taskInstances"
    while True:
        state = stack.run_state(PIPELINE, run_id)
        instances = stack.api("GET", path, params={"limit": 100})["task_instances"]
        shown.show(read_progress(workspace), current_step(instances))
        if state in FINISHED:
            return state
        if not stack.state.lives:
            raise StackFailed(f"The stack in {stack.home.root} ended; see {stack.home.logs}.")
        time.sleep(0.5)


def _give_up(stack: Stack, run_id: str) -> None:
    """Mark a run that nobody waits for any more as failed, which stops its tasks."""
    with contextlib.suppress(StackFailed):
        stack.api(
            "PATCH",
            f"/api/v2/dags/{PIPELINE}/dagRuns/{run_id}",
            json={"state": "failed"},
            timeout=5,
        )


def up(home: Home) -> int:
    """Start a stack that stays, or find the one that runs; print its address and login."""
    found = stacks.find(home)
    if found is None:
        print("Starting the simulator, an S3 server and Airflow", flush=True)
        stack = stacks.start(home, say=lambda step: print(f"  {step}", flush=True))
    elif found.owner is not None or found.phase is not Phase.READY:
        raise StackFailed(_busy(home, found))
    else:
        stack = Stack(home, found)
    print(_description(stack), flush=True)
    stack.close()
    return 0


def down(home: Home) -> int:
    """Stop what runs in the folder."""
    stopped = stacks.stop_stack(home)
    print("Stopped." if stopped else "Nothing runs.", flush=True)
    return 0


def status(home: Home) -> int:
    """Print what runs; return 0 if a stack is ready, 3 if none is."""
    found = stacks.find(home)
    if found is None:
        print("Nothing runs; `make up` starts it.")
        return 3
    if found.phase is not Phase.READY:
        print(f"The stack in {home.root} is {found.phase}: {found.step}")
        return 3
    stack = Stack(home, found)
    print(_description(stack))
    for name, each in found.processes.items():
        again = found.restarts.get(name, 0)
        times = f", started again {again} time{'s' * (again > 1)}" if again else ""
        print(f"  {name:<14} process {each.pid}{'' if each.lives else ' (gone)'}{times}")
    stack.close()
    return 0


def _description(stack: Stack) -> str:
    return "\n".join(
        (
            f"Airflow    {stack.url}",
            f"  login    {stack.login}",
            f"  password {stack.password}",
            f"simulator  {stack.simulator_url}",
            f"S3         {stack.s3_url}",
            f"files      {stack.home.root}",
            "`make run` works here now; `make down` stops it.",
        )
    )
