"""``make run``, ``make up``, ``make down`` and ``make status``."""

from __future__ import annotations

import contextlib
import glob
import os
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil

from fanfold.local import stack as stacks
from fanfold.local.progress import current_step, read_progress
from fanfold.local.request import Request, upload_key
from fanfold.local.settings import of_shell
from fanfold.local.stack import FINISHED, Stack, running_stack
from fanfold.local.state import Phase, StackFailed, read
from fanfold.local.summary import failure, next_step, retry_reason, summary
from fanfold.simulator.process import Simulator
from fanfold.simulator.sample import DELIVERIES, HOURLY, PREREQUISITES, upload
from fanfold.storage.published import LATEST
from fanfold.workspace.paths import Workspace, safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fanfold.local.home import Home
    from fanfold.local.state import State

RUN_PREFIX = "make-run__"
"""Prefix of the run ids of ``make run``."""
STARTING = "Starting the simulator, an S3 server and Airflow"
PRINT_EVERY_S = 2.0
"""Minimum seconds between two lines of progress."""
POLL_S = 0.4
"""Seconds between two looks at a run."""
STORAGE = "aws_default"
"""The connection to object storage; nothing is uploaded if a person has set it."""
SINKS = {"publish", "load"}
"""Tasks after which the results of a run are in place; only the report may still be missing."""


def run(home: Home, request: Request) -> int:
    """Trigger a pipeline, show its progress and print a summary.

    Returns:
        0 if the run succeeded, 1 if it failed.

    Raises:
        BadInput: There is no such pipeline, or the items do not fit it.
        StackFailed: The stack did not start or failed, or another `make run` uses this folder.
    """
    request.check()
    found = stacks.find(home)
    context: AbstractContextManager[Stack]
    if found is None:
        _say(STARTING)
        _say_ended(home)
        context = running_stack(home.root, extra_env=of_shell(os.environ), say=_say)
    else:
        context = contextlib.closing(_join(home, found))
    with context as stack:
        if found is None:
            _fail_unfinished(stack)
        needed = PREREQUISITES.get(request.pipeline)
        if needed and not _has_published(stack, needed):
            _say(f"{request.pipeline} reads what {needed} publishes: running that first")
            if failed := _run(stack, Request(needed), stays=found is not None):
                return failed
        return _run(stack, request, stays=found is not None)


def _run(stack: Stack, request: Request, *, stays: bool) -> int:
    """Trigger a pipeline and wait for its end; return 0 if the run succeeded, 1 if it failed."""
    dag_id = request.pipeline
    run_id = f"{RUN_PREFIX}{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}"
    stack.wait_for_dag(dag_id)
    params = stack.api("GET", f"/api/v2/dags/{dag_id}/details")["params"] or {}
    if not request.items:
        _deliver(stack, params)
    if dag_id in HOURLY:
        _advance(stack)
    upload = partial(_upload, stack, dag_id)
    conf = request.conf(params, stack.home.inputs, stack.uses_own, upload)
    _say(f"Triggering {dag_id}")
    began = time.monotonic()
    stack.trigger(dag_id, conf, run_id=run_id)

    def print_summary() -> None:
        _say(summary(stack, dag_id, run_id, seconds=time.monotonic() - began))

    try:
        state = _watch(stack, dag_id, run_id, print_summary)
    except BaseException:
        with contextlib.suppress(StackFailed):
            _fail(stack, dag_id, run_id)
        raise
    if state != "success":
        _say("\n" + failure(stack, dag_id, run_id))
        return 1
    _say(next_step(stack, dag_id, run_id, stays=stays))
    return 0


def _has_published(stack: Stack, dag_id: str) -> bool:
    """Return whether a DAG has published to the bucket; true for the user's own storage, which is not queried."""
    if not stack.uses_own(STORAGE):
        return True
    listed = stack.s3().list_objects_v2(Bucket=stack.bucket, Prefix=f"{safe_name(dag_id)}/{LATEST}")
    return bool(listed["KeyCount"])


def _deliver(stack: Stack, params: Mapping[str, Any]) -> None:
    """Upload the next delivery of the sample files that a pipeline reads by default, if it does."""
    if not stack.uses_own(STORAGE):
        return
    defaults = str([param["value"] for param in params.values()])
    for prefix, make in DELIVERIES.items():
        if f"s3://{stack.bucket}/{prefix}" in defaults:
            counter = _counter(stack, prefix)
            number = int(counter.read_text("ascii")) + 1 if counter.exists() else 1
            files = make(datetime.now(UTC).date(), number)
            uploaded = upload(stack.s3(), stack.bucket, prefix, files)
            counter.write_text(str(number), "ascii")
            _say(
                f"Delivery {number} of sample files: {uploaded} new or changed ones in "
                f"s3://{stack.bucket}/{prefix}"
            )


def _counter(stack: Stack, prefix: str) -> Path:
    """Return the file with the number of the last delivery under a prefix."""
    return stack.home.inputs / f"deliveries-{prefix.strip('/').replace('/', '-')}"


def _deliver_first(stack: Stack) -> None:
    """Upload the first delivery of all sample files, so that the defaults of the trigger forms find some.

    The first `make run` delivers them again.
    """
    if not stack.uses_own(STORAGE):
        return
    for prefix, make in DELIVERIES.items():
        if not _counter(stack, prefix).exists():
            upload(stack.s3(), stack.bucket, prefix, make(datetime.now(UTC).date(), 1))


def _advance(stack: Stack) -> None:
    """Move the simulator's hot topics an hour on, but for the first run."""
    file = stack.home.hours
    hours = int(file.read_text("ascii")) + 1 if file.exists() else 0
    Simulator(stack.simulator_url, stack.token, pid=0).control(hours=hours)
    file.write_text(str(hours), "ascii")
    if hours:
        _say(f"The simulator's hot topics are {hours} hours ahead of the clock")


def _upload(stack: Stack, pipeline: str, path: Path) -> str:
    """Upload a local file of the user to the stack's S3 server; return its URI."""
    if not stack.uses_own(STORAGE):
        return f"file://{glob.escape(str(path.absolute()))}"
    key = upload_key(pipeline, path)
    stack.s3().upload_file(str(path), stack.bucket, key)
    return f"s3://{stack.bucket}/{glob.escape(key)}"


def _say(text: str) -> None:
    print(text, flush=True)


def _join(home: Home, state: State) -> Stack:
    """Return the stack of `make up` that runs in a folder.

    Raises:
        StackFailed: It is that of another program, is not ready, or lacks connections of this shell.
    """
    if state.owner is not None:
        raise StackFailed(
            f"Another `make run` (process {state.owner}) uses {home.root}. Wait until it ends, or"
            " stop it with `make down`; concurrent runs can share the stack of `make up`."
        )
    if state.phase is not Phase.READY:
        raise StackFailed(f"The stack in {home.root} is {state.phase}; try again soon.")
    stack = Stack(home, state)
    shell = of_shell(os.environ)
    if other := [name for name in sorted(shell) if stack.environment.get(name) != shell[name]]:
        raise StackFailed(
            f"The running stack was started with another value of {', '.join(other)}, or without it. "
            "Stop it with `make down` first: the next start takes the values of this shell."
        )
    return stack


def _watch(stack: Stack, dag_id: str, run_id: str, print_summary: Callable[[], None]) -> str:
    """Print the progress of a run until it is finished; return its state.

    The summary is printed once the results are in the sinks, without waiting for the report.
    """
    workspace = Workspace.of_run(stack.home.shared, dag_id, run_id)
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
    printed, printed_at, summarised = "", 0.0, False
    while True:
        state = stack.run_state(dag_id, run_id)
        if not summarised and (state == "success" or _is_stored(stack, workspace, path)):
            print_summary()
            summarised = True
        if not summarised and time.monotonic() - printed_at >= PRINT_EVERY_S:
            instances = stack.api("GET", path, params={"limit": 100})["task_instances"]
            line = "  ".join(filter(None, (read_progress(workspace), current_step(instances))))
            printed_at = time.monotonic()
            if line not in {"", printed}:
                printed = line
                _say(line)
                for instance in instances:
                    if instance["state"] == "up_for_retry":
                        _say(f"  {retry_reason(stack, dag_id, run_id, instance)}")
                        break
        if state in FINISHED:
            return state
        stack.check()
        time.sleep(POLL_S)


def _is_stored(stack: Stack, workspace: Workspace, path: str) -> bool:
    """Whether the results of a run are in the sinks; Airflow is only asked after consolidate."""
    if not workspace.manifest.exists():
        return False
    instances = stack.api("GET", path, params={"map_index": -1})["task_instances"]
    return {each["task_id"] for each in instances if each["state"] == "success"} >= SINKS


def _fail_unfinished(stack: Stack) -> None:
    """Fail the runs of earlier `make run` commands that were killed: nothing waits for them."""
    query = {"state": ["queued", "running"], "run_id_pattern": f"{RUN_PREFIX}%"}
    for each in stack.api("GET", "/api/v2/dags/~/dagRuns", params=query)["dag_runs"]:
        _fail(stack, each["dag_id"], each["dag_run_id"])


def _fail(stack: Stack, dag_id: str, run_id: str) -> None:
    """Mark a run as failed, which stops its tasks."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
    stack.api("PATCH", path, json={"state": "failed"}, timeout=5)


def up(home: Home) -> int:
    """Start a stack that stays, or find the one that runs; print its address and login."""
    found = stacks.find(home)
    if found is None:
        _say(STARTING)
        _say_ended(home)
        stack = stacks.start(home, extra_env=of_shell(os.environ), say=_say)
        _deliver_first(stack)
    else:
        stack = _join(home, found)
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
        _say_ended(home)
        return 3
    stack = Stack(home, state)
    for name, pid in {"supervisor": state.supervisor, **state.processes}.items():
        print(f"{name:<14} process {pid}{'' if psutil.pid_exists(pid) else ' (gone)'}")
    print(f"The stack is {state.phase}.\n{_description(stack)}")
    return 0 if state.phase is Phase.READY else 3


def _say_ended(home: Home) -> None:
    """Print why the last stack ended, if it was not stopped."""
    if last := read(home.state):
        reason = last.message or f"its supervisor was killed; see {home.logs}"
        _say(f"The last stack ended: {reason}")


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
            "Changes of include/pipelines and dags take effect with the next run; after changes of",
            "include/fanfold or exported connections restart it: `make down up`.",
        )
    )
