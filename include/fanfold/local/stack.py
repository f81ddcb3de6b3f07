"""Start, find, call and stop a local stack from other programs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import astuple
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psutil
import requests

from fanfold.local import settings
from fanfold.local.home import ADMIN, Home
from fanfold.local.processes import STACK, last_lines, of_stack, stop
from fanfold.local.state import Phase, StackFailed, State, read
from fanfold.local.supervisor import LOCKED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

STOPPING = "Stopping what was started"
STOP_S = 20
"""Seconds that a supervisor may take to stop its stack."""
TIMEOUT_S = 120
"""Seconds that Airflow's REST API may take to answer, on a busy machine."""
FINISHED = ("success", "failed")
"""Final states of a DAG run."""


class Stack:
    """A running stack: its addresses, its login, and calls to its servers."""

    def __init__(self, home: Home, state: State) -> None:
        self.home = home
        self.state = state  # when it was ready
        # Addresses without a trailing slash; url is that of the Airflow UI and its REST API.
        self.url, self.simulator_url, self.s3_url = state.airflow, state.simulator, state.s3
        self._secrets = home.secrets()
        self.login, self.password = ADMIN, self._secrets.admin_password
        self.token = self._secrets.source_token  # the access token that the simulator accepts
        # What the tasks have in their environment, also from the shell that started the stack.
        self.environment: Mapping[str, str] = psutil.Process(state.supervisor).environ()
        self.bucket = self.environment["FANFOLD_BUCKET"]
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy must not be asked for loopback

    def s3(self) -> Any:
        """Return a boto3 client for the stack's S3 server."""
        import boto3
        from botocore.config import Config

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.s3_url,
            aws_access_key_id=self._secrets.s3_access_key,
            aws_secret_access_key=self._secrets.s3_secret_key,
            region_name="us-east-1",
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )

    def api(self, method: str, path: str, **options: Any) -> Any:
        """Call Airflow's REST API and return the JSON of its response, or None if it is empty.

        ``options`` are those of ``requests``: ``json``, ``params``, ``timeout`` (seconds).

        Raises:
            StackFailed: The api-server does not answer, or rejects the request.
        """
        try:
            if "Authorization" not in self._session.headers:
                login = {"username": self.login, "password": self.password}
                token = self._session.post(f"{self.url}/auth/token", json=login, timeout=TIMEOUT_S)
                token.raise_for_status()
                self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
            answer = self._session.request(
                method, self.url + path, **({"timeout": TIMEOUT_S} | options)
            )
        except requests.RequestException as error:
            self.check()
            raise StackFailed(f"Airflow at {self.url} does not answer: {error}") from error
        if not answer.ok:
            raise StackFailed(
                f"Airflow answers {method} {path} with {answer.status_code}: {answer.text[:500]}"
            )
        return answer.json() if answer.content else None

    def uses_own(self, connection_id: str) -> bool:
        """Return whether runs use a server of this stack for a connection, not one that a person set."""
        if settings.connection_variable(connection_id) in self.environment:
            return False
        query = {"connection_id_pattern": connection_id, "limit": 100}
        rows = self.api("GET", "/api/v2/connections", params=query)["connections"]
        own = (self.simulator_url, self.s3_url, str(self.home.warehouse))
        return any(
            address in f"{row['host']} {row['extra']}"
            for row in rows
            if row["connection_id"] == connection_id
            for address in own
        )

    def check(self) -> None:
        """Raise if the stack has stopped or is stopping.

        Raises:
            StackFailed: With the reason.
        """
        state = read(self.home.state)
        if state is None or state.phase is not Phase.READY or not _is_locked(self.home):
            reason = state.message if state else f"see {self.home.logs}"
            raise StackFailed(f"The stack in {self.home.root} stopped: {reason}")

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, *, run_id: str | None = None
    ) -> str:
        """Trigger a DAG with Params as soon as its file is parsed; return the id of the run.

        Raises:
            StackFailed: The DAG cannot be parsed, or the Params are invalid.
        """
        self.wait_for_dag(dag_id)
        run_id = run_id or f"manual__{secrets.token_hex(8)}"
        run = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}
        self.api("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=run)
        return run_id

    def wait_for_dag(self, dag_id: str, timeout: float = 90) -> None:
        """Wait until this stack has parsed the DAG.

        Raises:
            StackFailed: Its file cannot be imported, or it and no other DAG was parsed for ``timeout`` seconds.
        """
        deadline, parsed = time.monotonic() + timeout, set[str]()
        while True:
            dags = self.api("GET", "/api/v2/dags", params={"limit": 100})["dags"]
            found = dag_id in {dag["dag_id"] for dag in dags}
            new = {dag["dag_id"] for dag in dags if self._is_parsed(dag)}
            if dag_id in new:
                return
            if len(new) > len(parsed):  # on a busy machine it takes its time
                deadline, parsed = time.monotonic() + timeout, new
            errors = self.api("GET", "/api/v2/importErrors")["import_errors"]
            if errors and not found:
                trace = errors[0]["stack_trace"].strip()
                raise StackFailed(f"{errors[0]['filename']} cannot be imported:\n{trace}")
            if time.monotonic() > deadline:
                others = f"{len(parsed)} others were" if parsed else "no other was"
                raise StackFailed(
                    f"The DAG {dag_id} is not parsed; {others}, the last one {timeout:g} s ago or more. "
                    f"See {self.home.log_of('dag-processor')}."
                )
            time.sleep(0.1)

    def _is_parsed(self, dag: Mapping[str, Any]) -> bool:
        """Whether this stack, not an earlier one, has parsed a DAG."""
        at = dag["last_parsed_time"]
        return bool(at) and datetime.fromisoformat(at).timestamp() > self.state.started_at

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run, such as ``running``."""
        return str(self.api("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def wait(self, dag_id: str, run_id: str, timeout: float) -> str:
        """Wait until a DAG run is finished and return its state, ``success`` or ``failed``.

        Raises:
            StackFailed: It is not finished after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while (state := self.run_state(dag_id, run_id)) not in FINISHED:
            if time.monotonic() > deadline:
                raise StackFailed(f"{run_id} of {dag_id} is {state} after {timeout:g} s.")
            time.sleep(0.3)
        return state

    def close(self) -> None:
        """Close the connections to the stack; it keeps running."""
        self._session.close()


def find(home: Home) -> State | None:
    """Return the state of the stack that runs in a folder, or None."""
    return read(home.state) if _is_locked(home) else None


def _is_locked(home: Home) -> bool:
    """Whether a supervisor runs in a folder: the kernel releases its lock when it ends."""
    if not home.lock.exists():
        return False
    with home.lock.open("r+") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def running_stack(
    home: Path,
    *,
    dags: Path | None = None,
    extra_env: Mapping[str, str] | None = None,
    port: int | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Iterator[Stack]:
    """Run a stack for the duration of a ``with`` block, or until this process ends.

    Args:
        home: Its folder; created if it does not exist.
        dags: The DAG folder; None is the project's (or ``$FANFOLD_DAGS``).
        extra_env: Environment variables for all its processes, over those of the stack.
        port: That of Airflow; None is that of the last start, the first time 8080.
        say: Called with a line for the user while the stack starts.

    Raises:
        StackFailed: It did not start, or another one runs in this folder.
    """
    folder = Home(home.absolute())
    supervisor = _launch(
        folder, reserve(folder, port, say), stay=False, dags=dags, extra_env=extra_env
    )
    try:
        stack = Stack(folder, _wait_until_ready(folder, supervisor, say))
        try:
            yield stack
        finally:
            stack.close()
    except KeyboardInterrupt:
        say(STOPPING)
        raise
    finally:
        _end(folder, supervisor)


def start(
    home: Home,
    *,
    extra_env: Mapping[str, str],
    port: int | None,
    say: Callable[[str], object],
) -> Stack:
    """Start a stack that outlives this process; the arguments are those of :func:`running_stack`.

    Raises:
        StackFailed: It did not start, or another one runs in this folder.
    """
    supervisor = _launch(home, reserve(home, port, say), stay=True, extra_env=extra_env)
    try:
        return Stack(home, _wait_until_ready(home, supervisor, say))
    except BaseException:
        say(STOPPING)
        _end(home, supervisor)
        raise


def stop_stack(home: Home) -> bool:
    """Stop the stack in a folder and what a killed supervisor left; whether there was anything."""
    state = find(home)
    if state is not None:
        os.kill(state.supervisor, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while _is_locked(home) and time.monotonic() < deadline:
            time.sleep(0.02)
    left = of_stack(home.root)
    stop(lambda: of_stack(home.root), grace_s=0)
    home.state.unlink(missing_ok=True)
    return state is not None or bool(left)


def environment_of(
    home: Home,
    ports: settings.Ports,
    *,
    stay: bool = True,
    dags: Path | None = None,
    extra_env: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment variables of the processes of a stack; the arguments are those of its start."""
    dags = dags or settings.dags_folder()
    made = settings.airflow_environment(home, home.secrets(), ports, dags=dags, scheduled=stay)
    # Airflow renames its processes; without this it overwrites their environment, too.
    made["SPT_NOENV"] = "1"
    return {**settings.clean_environment(os.environ), **made, **(extra_env or {})}


def reserve(home: Home, port: int | None, say: Callable[[str], object]) -> settings.Reservation:
    """Prepare the folder of a stack and reserve its ports; the next start wants the same ones."""
    home.prepare()
    known = home.remembered_port()
    reserved = settings.reserve_ports(port or known or settings.FIRST_PORT)
    if reserved.taken:
        chosen = reserved.ports
        say(f"Port {reserved.taken} is taken: using {chosen.airflow} to {chosen.execution}")
    if port or known is None:
        home.remember_port(reserved.ports.airflow)
    return reserved


def _launch(
    home: Home,
    reserved: settings.Reservation,
    *,
    stay: bool,
    dags: Path | None = None,
    extra_env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a supervisor, which stops when the other end of its stdin closes."""
    ports = reserved.ports
    environment = environment_of(home, ports, stay=stay, dags=dags, extra_env=extra_env)
    environment[STACK] = str(home.root)
    arguments = (home.root, 0 if stay else os.getpid(), *astuple(ports))
    command = [sys.executable, "-m", "fanfold.local.supervisor", *map(str, arguments)]
    with contextlib.ExitStack() as opened:
        log = opened.enter_context(home.log_of("supervisor").open("wb"))
        marks = [opened.enter_context(mark).fileno() for mark in reserved.marks]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=marks,
            # Ctrl-C in a terminal goes to the whole group: the owner decides when the stack stops.
            start_new_session=True,
        )


def _wait_until_ready(
    home: Home, supervisor: subprocess.Popen[bytes], say: Callable[[str], object]
) -> State:
    """Wait until the supervisor reports that its stack is ready, or exits."""
    migrating = False
    while (code := supervisor.poll()) is None:
        state = read(home.state)
        if state is not None and state.supervisor == supervisor.pid:
            if state.phase is Phase.READY:
                return state
            if "migration" in state.processes and not migrating:
                migrating = True
                say("  creating Airflow's database (only the first time)")
        time.sleep(0.05)
    if code == LOCKED:
        raise StackFailed(f"Another stack is starting or stopping in {home.root}; try again soon.")
    state = read(home.state)
    log = "\n".join(last_lines(home.log_of("supervisor"), 15))
    reason = state.message if state and state.phase is Phase.FAILED else f"exit code {code}\n{log}"
    raise StackFailed(f"The stack did not start: {reason}")


def _end(home: Home, supervisor: subprocess.Popen[bytes]) -> None:
    """Ask a supervisor to stop its stack; kill it after :data:`STOP_S` seconds."""
    supervisor.terminate()
    try:
        supervisor.wait(STOP_S)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
    if supervisor.returncode < 0:
        stop(lambda: of_stack(home.root), grace_s=0)
    if supervisor.stdin is not None:
        supervisor.stdin.close()
