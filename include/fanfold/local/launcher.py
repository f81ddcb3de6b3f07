"""``make run``, ``make up``, ``make down``, ``make status`` and ``make airflow``."""

from __future__ import annotations

import contextlib
import glob
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil

from fanfold.errors import BadInput
from fanfold.local import settings
from fanfold.local import stack as stacks
from fanfold.local.processes import STACK
from fanfold.local.request import Request, upload_key
from fanfold.local.settings import of_shell
from fanfold.local.stack import Stack, running_stack
from fanfold.local.state import Phase, StackFailed, read
from fanfold.local.summary import failure, page_of, summary
from fanfold.local.watch import watch
from fanfold.simulator.process import Simulator
from fanfold.simulator.sample import DELIVERIES, LIVING, PREREQUISITES, upload
from fanfold.storage.published import LATEST
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fanfold.local.home import Home
    from fanfold.local.progress import Screen
    from fanfold.local.state import State

RUN_PREFIX = "make-run__"
"""Prefix of the run ids of ``make run``."""
STARTING = "Starting the simulator, an S3 server and Airflow"
STORAGE = "aws_default"
"""The connection to object storage; nothing is uploaded if a person has set it."""


def run(home: Home, request: Request, screen: Screen, *, port: int | None) -> int:
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
        _begin_start(home, screen)
        context = running_stack(
            home.root, extra_env=of_shell(os.environ), port=port, say=screen.say
        )
    else:
        context = contextlib.closing(_join(home, found))
    with context as stack:
        if found is None:
            _say_started(stack, screen)
            _fail_unfinished(stack)
        needed = PREREQUISITES.get(request.pipeline)
        if needed and not _has_published(stack, needed):
            screen.say(f"{request.pipeline} reads what {needed} publishes: running that first")
            if failed := _run(stack, Request(needed), screen, stays=found is not None):
                return failed
        return _run(stack, request, screen, stays=found is not None)


def _begin_start(home: Home, screen: Screen) -> None:
    _say_ended(home, screen)
    home.prepare()
    _start_clock(home)
    screen.begin(STARTING)


def _say_started(stack: Stack, screen: Screen) -> None:
    seconds = time.time() - stack.state.started_at
    screen.end(f"Started the simulator, an S3 server and Airflow in {seconds:.0f} s")


def _run(stack: Stack, request: Request, screen: Screen, *, stays: bool) -> int:
    """Trigger a pipeline and wait for its end; return 0 if the run succeeded, 1 if it failed."""
    dag_id = request.pipeline
    run_id = f"{RUN_PREFIX}{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%f}"
    screen.begin(f"Waiting for the DAG {dag_id} to be parsed")
    stack.wait_for_dag(dag_id)
    params = stack.api("GET", f"/api/v2/dags/{dag_id}/details")["params"] or {}
    if not request.items:
        _deliver(stack, params, screen)
    if dag_id in LIVING and stack.uses_own(LIVING[dag_id]):
        _advance(stack, screen)
    upload = partial(_upload, stack, dag_id)
    conf = request.conf(params, stack.home.inputs, stack.uses_own, upload)
    screen.end(f"Running {dag_id}")
    stack.trigger(dag_id, conf, run_id=run_id)
    try:
        state, seconds = watch(stack, dag_id, run_id, screen)
    except BaseException:
        with contextlib.suppress(StackFailed):
            _fail(stack, dag_id, run_id)
        raise
    if state == "success":
        screen.say(summary(stack, dag_id, run_id, seconds=seconds))
    else:
        screen.say("\n" + failure(stack, dag_id, run_id))
    hint = "" if stays else "  (after `make up`)"
    screen.say(f"  page       {page_of(stack, dag_id, run_id)}{hint}")
    return 0 if state == "success" else 1


def _has_published(stack: Stack, dag_id: str) -> bool:
    """Return whether a DAG has published to the bucket; true for the user's own storage, which is not queried."""
    if not stack.uses_own(STORAGE):
        return True
    listed = stack.s3().list_objects_v2(Bucket=stack.bucket, Prefix=f"{safe_name(dag_id)}/{LATEST}")
    return bool(listed["KeyCount"])


def _deliver(stack: Stack, params: Mapping[str, Any], screen: Screen) -> None:
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
            files_text = (
                "1 new or changed file" if uploaded == 1 else f"{uploaded} new or changed files"
            )
            screen.say(
                f"Delivery {number} of sample files: {files_text} in s3://{stack.bucket}/{prefix}"
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


def _advance(stack: Stack, screen: Screen) -> None:
    """Move the simulator an hour on, but for the first run."""
    file = stack.home.hours
    ran = _counter(stack, "runs")
    hours = _start_clock(stack.home) + ran.exists()
    ran.touch()
    Simulator(stack.simulator_url, stack.token, pid=0).control(hours=hours)
    file.write_text(str(hours), "ascii")
    if hours:
        ahead = "1 hour" if hours == 1 else f"{hours} hours"
        screen.say(
            f"The simulated world is {ahead} ahead of the clock: something has changed in it"
        )


def _upload(stack: Stack, pipeline: str, path: Path) -> str:
    """Upload a local file of the user to the stack's S3 server; return its URI."""
    if not stack.uses_own(STORAGE):
        return f"file://{glob.escape(str(path.absolute()))}"
    key = upload_key(pipeline, path)
    stack.s3().upload_file(str(path), stack.bucket, key)
    return f"s3://{stack.bucket}/{glob.escape(key)}"


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


def _fail_unfinished(stack: Stack) -> None:
    """Fail the runs of earlier `make run` commands that were killed: nothing waits for them."""
    query = {"state": ["queued", "running"], "run_id_pattern": f"{RUN_PREFIX}%"}
    for each in stack.api("GET", "/api/v2/dags/~/dagRuns", params=query)["dag_runs"]:
        _fail(stack, each["dag_id"], each["dag_run_id"])


def _fail(stack: Stack, dag_id: str, run_id: str) -> None:
    """Mark a run as failed, which stops its tasks."""
    path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
    stack.api("PATCH", path, json={"state": "failed"}, timeout=5)


def up(home: Home, screen: Screen, *, port: int | None) -> int:
    """Start a stack that stays, or find the one that runs; print its address and login."""
    found = stacks.find(home)
    if found is None:
        _begin_start(home, screen)
        stack = stacks.start(home, extra_env=of_shell(os.environ), port=port, say=screen.say)
        _deliver_first(stack)
        _say_started(stack, screen)
    else:
        stack = _join(home, found)
        if port is not None and found.airflow != settings.url(port):
            screen.say(f"PORT={port} takes effect with the next start: the stack runs already.")
    screen.say(_description(stack))
    stack.close()
    return 0


def _start_clock(home: Home) -> int:
    """Return the hours by which the simulator is ahead of the clock; with 0 it begins to follow the clock."""
    if not home.hours.exists():
        home.hours.write_text("0", "ascii")
    return int(home.hours.read_text("ascii"))


def down(home: Home, screen: Screen) -> int:
    """Stop the stack in the folder."""
    screen.say("Stopped." if stacks.stop_stack(home) else "Nothing runs.")
    return 0


def status(home: Home, screen: Screen) -> int:
    """Print what runs; return 0 if a stack is ready, 1 if not."""
    state = stacks.find(home)
    if state is None:
        screen.say("Nothing runs.")
        _say_ended(home, screen)
        return 1
    stack = Stack(home, state)
    for name, pid in {"supervisor": state.supervisor, **state.processes}.items():
        gone = "" if psutil.pid_exists(pid) else " (gone)"
        screen.say(f"{name:<14} process {pid}{gone}")
    screen.say(f"The stack is {state.phase}.\n{_description(stack)}")
    return 0 if state.phase is Phase.READY else 1


def airflow(home: Home, arguments: Sequence[str], *, module: str = "airflow") -> int:
    """Run a command of Airflow, or another module, with the environment of the running stack, or of the next one; return 0 or 1.

    Raises:
        BadInput: There is no stack, and has been none.
    """
    if state := stacks.find(home):
        environment = dict(Stack(home, state).environment)
    elif home.database.exists():
        ports = settings.ports_from(home.remembered_port() or settings.FIRST_PORT)
        environment = stacks.environment_of(home, ports, extra_env=of_shell(os.environ))
    else:
        raise BadInput(f"{home.root} has no database of Airflow yet: `make up` creates it.")
    environment.pop(STACK, None)  # or `make down` would stop this command
    environment["PYTHONWARNINGS"] = "ignore"  # Airflow writes them to stdout, before JSON
    command = [sys.executable, "-m", module, *arguments]
    return min(1, abs(subprocess.call(command, env=environment)))


def _say_ended(home: Home, screen: Screen) -> None:
    """Print why the last stack ended, if it was not stopped."""
    if last := read(home.state):
        reason = last.message or f"its supervisor was killed; see {home.logs}"
        screen.say(f"The last stack ended: {reason}")


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
            '`make airflow ARGS="dags list"` runs a command of Airflow on it.',
            "Changes of include/pipelines and dags take effect with the next run; after changes of",
            "include/fanfold or exported connections restart it: `make down up`.",
        )
    )
