"""How other programs start, find, ask and stop an embedded stack."""

from __future__ import annotations

import json
import os
import secrets as random_names
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psutil
import requests

from fanfold.local import objects, settings
from fanfold.local.forkserver import Program, Request
from fanfold.local.home import ADMIN, Home
from fanfold.local.probes import last_lines
from fanfold.local.processes import descendants, of_sessions, spawn, stop
from fanfold.local.state import Phase, StackFailed, State, read
from fanfold.local.supervisor import LOCKED, START_S

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

STOP_S = 60
"""Seconds that a supervisor may take to stop its stack."""
RECOVERY_S = 60
"""Seconds for which an api-server that died is waited for."""
FINISHED = ("success", "failed")
"""States of a DAG run that do not change any more."""


class Stack:
    """A stack that runs: its addresses, its login, and what can be asked of it.

    Attributes:
        home: Where its files lie.
        state: What its supervisor wrote when it was ready.
        login: The user of the Airflow UI.
        password: That user's password.
    """

    def __init__(self, home: Home, state: State) -> None:
        self.home = home
        self.state = state
        self.login = ADMIN
        self._secrets = home.secrets()
        self.password = self._secrets.admin_password
        self.token = self._secrets.source_token
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment must not see loopback

    @property
    def url(self) -> str:
        """The address of the Airflow UI and its REST API, without a slash at the end."""
        return self.state.airflow

    @property
    def simulator_url(self) -> str:
        """The address of the simulator."""
        return self.state.simulator

    @property
    def s3_url(self) -> str:
        """The address of the S3 server."""
        return self.state.s3

    def s3(self) -> Any:
        """Return a boto3 client for the stack's S3 server."""
        return objects.client(self.s3_url, self._secrets.s3_access_key, self._secrets.s3_secret_key)

    def api(self, method: str, path: str, **options: Any) -> Any:
        """Call Airflow's REST API and return the JSON that it answers, or None.

        Args:
            method: Such as ``GET``.
            path: Such as ``/api/v2/dags``.
            options: What ``requests`` takes: ``json``, ``params``, ``timeout`` (seconds).

        Raises:
            StackFailed: It does not answer, or refuses.
        """
        deadline = time.monotonic() + RECOVERY_S
        while True:
            try:
                if "Authorization" not in self._session.headers:
                    self._log_in()
                answer = self._session.request(
                    method, self.url + path, **({"timeout": 30} | options)
                )
                break
            except requests.RequestException as error:
                # Its supervisor starts an api-server that died again. What changes something is
                # not repeated: it may have been done.
                late = time.monotonic() > deadline or not self.state.lives
                if method != "GET" or late:
                    raise StackFailed(f"Airflow at {self.url} does not answer: {error}") from error
                time.sleep(0.3)
        if not answer.ok:
            raise StackFailed(
                f"Airflow answers {method} {path} with {answer.status_code}: {answer.text[:500]}"
            )
        return answer.json() if answer.content else None

    def _log_in(self) -> None:
        answer = self._session.post(
            f"{self.url}/auth/token",
            json={"username": self.login, "password": self.password},
            timeout=30,
        )
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def airflow(self, *arguments: str, timeout: float = 120) -> str:
        """Run the ``airflow`` command in this stack and return what it says.

        Raises:
            StackFailed: It fails, or takes more than ``timeout`` seconds.
        """
        log = self.home.logs / f"airflow-{random_names.token_hex(4)}.log"
        shown = f"airflow {' '.join(arguments[:3])}"
        try:
            with Program(self.home.root, Request(["airflow", *arguments], str(log), [])) as program:
                code = program.wait(timeout)
                if code is None:
                    stop(lambda: descendants([program.pid]))
                    raise StackFailed(f"`{shown}` is not done after {timeout:g} s.")
            if code:
                said = "\n".join(last_lines(log, 15))
                raise StackFailed(f"`{shown}` ended with exit code {code}:\n{said}")
            return log.read_text("utf-8", "replace")
        finally:
            log.unlink(missing_ok=True)

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, *, run_id: str | None = None
    ) -> str:
        """Trigger a DAG through the ``airflow`` command line, as soon as it is parsed.

        Args:
            dag_id: The DAG.
            conf: Its Params.
            run_id: The id of the run; None makes one.

        Returns:
            The id of the run.

        Raises:
            StackFailed: The DAG cannot be parsed, or the Params are refused.
        """
        self.wait_for_dag(dag_id)
        run_id = run_id or f"manual__{random_names.token_hex(8)}"
        self.airflow(
            "dags", "trigger", dag_id, "--run-id", run_id, "--conf", json.dumps(dict(conf or {}))
        )
        return run_id

    def wait_for_dag(self, dag_id: str, timeout: float = 90) -> None:
        """Wait until the DAG has been parsed by this stack.

        Raises:
            StackFailed: Its file cannot be imported, or it does not appear in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            if self._is_parsed(dag_id):
                return
            errors = self.api("GET", "/api/v2/importErrors")["import_errors"]
            if errors and not self._knows(dag_id):
                trace = errors[0]["stack_trace"].strip()
                raise StackFailed(f"{errors[0]['filename']} cannot be imported:\n{trace}")
            if time.monotonic() > deadline:
                raise StackFailed(
                    f"The DAG {dag_id} has not appeared after {timeout:g} s;"
                    f" see {self.home.log_of('dag-processor')}."
                )
            time.sleep(0.2)

    def _is_parsed(self, dag_id: str) -> bool:
        from datetime import datetime

        found = self._knows(dag_id)
        parsed = found and found["last_parsed_time"]
        return bool(parsed) and datetime.fromisoformat(parsed).timestamp() > self.state.started_at

    def _knows(self, dag_id: str) -> Any:
        dags = self.api("GET", "/api/v2/dags", params={"dag_id_pattern": dag_id, "limit": 100})
        return next((dag for dag in dags["dags"] if dag["dag_id"] == dag_id), None)

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run, such as ``running``."""
        run = self.api("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        return str(run["state"])

    def wait(self, dag_id: str, run_id: str, timeout: float) -> str:
        """Wait until a run is finished and return its state, ``success`` or ``failed``.

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
        """Close the connections to it; it runs on."""
        self._session.close()


def find(home: Home) -> State | None:
    """Return the state of the stack that runs in a folder, or None."""
    state = read(home.state)
    return state if state is not None and state.lives else None


def _launch(
    home: Home, *, leaves: bool, dags: Path | None, extra_env: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    home.prepare()
    given = os.environ.get("FANFOLD_DAGS") or settings.REPOSITORY / "dags"
    command = [
        *(sys.executable, "-m", "fanfold.local.supervisor"),
        *("--home", str(home.root), "--dags", str(dags or given), "--owner", str(os.getpid())),
        *(["--leaves"] if leaves else []),
    ]
    overrides = {f"FANFOLD_STACK_ENV__{name}": text for name, text in (extra_env or {}).items()}
    environment = dict(os.environ) | overrides
    home.log_of("supervisor").unlink(missing_ok=True)
    return spawn(command, log=home.log_of("supervisor"), environment=environment, tied=False)


def _ready(home: Home, supervisor: subprocess.Popen[bytes], say: Callable[[str], None]) -> State:
    deadline = time.monotonic() + START_S + 30
    said = ""
    while True:
        code = supervisor.poll()
        state = read(home.state)
        if state is not None and state.supervisor.pid == supervisor.pid:
            if state.phase is Phase.READY:
                return state
            if state.phase is Phase.FAILED:
                supervisor.wait()
                raise StackFailed(f"The stack did not start: {state.message}")
            if state.step != said:
                said = state.step
                say(said)
        if code == LOCKED:
            raise StackFailed(f"Another stack begins or ends in {home.root}; try again soon.")
        if code is not None:
            lines = "\n".join(last_lines(home.log_of("supervisor"), 15))
            raise StackFailed(f"The supervisor ended with exit code {code}:\n{lines}")
        if time.monotonic() > deadline:
            raise StackFailed(f"The stack is not ready; see {home.logs}.")
        time.sleep(0.05)


def _quiet(_: str) -> None:
    """Say nothing."""


@contextmanager
def running_stack(
    home: Path,
    *,
    dags: Path | None = None,
    extra_env: Mapping[str, str] | None = None,
    say: Callable[[str], None] = _quiet,
) -> Iterator[Stack]:
    """Run a stack for the time of a ``with`` block; nothing of it runs afterwards.

    It also ends when this process ends in any other way.

    Args:
        home: Its folder; created where it is missing.
        dags: The DAG folder; None is the project's (or ``$FANFOLD_DAGS``).
        extra_env: Variables for all its processes, over what the stack sets itself.
        say: Is told what happens while the stack starts.

    Raises:
        StackFailed: It did not start, or another one runs in this folder.
    """
    place = Home(home.absolute())
    supervisor = _launch(place, leaves=False, dags=dags, extra_env=extra_env)
    try:
        stack = Stack(place, _ready(place, supervisor, say))
        try:
            yield stack
        finally:
            stack.close()
    finally:
        _end(place, supervisor.pid, lambda: supervisor.poll() is not None)


def start(home: Home, *, say: Callable[[str], None] = _quiet) -> Stack:
    """Start a stack that outlives this process.

    Raises:
        StackFailed: It did not start, or another one runs in this folder.
    """
    supervisor = _launch(home, leaves=True, dags=None, extra_env=None)
    try:
        return Stack(home, _ready(home, supervisor, say))
    except BaseException:
        _end(home, supervisor.pid, lambda: supervisor.poll() is not None)
        raise


def stop_stack(home: Home) -> bool:
    """Stop the stack that runs in a folder and what a killed one left; True if there was any."""
    state = read(home.state)
    if state is None:
        return False
    lived = state.lives
    if lived:
        _end(home, state.supervisor.pid, lambda: not state.supervisor.lives)
    leftovers = [each.pid for each in state.processes.values() if each.lives]
    lived = lived or bool(leftovers)
    stop(lambda: of_sessions(leftovers))
    home.state.unlink(missing_ok=True)
    return lived


def _end(home: Home, supervisor: int, ended: Callable[[], bool]) -> None:
    """Ask a supervisor to stop its stack; kill what is left after :data:`STOP_S` seconds.

    A further Ctrl-C kills at once.
    """
    state = read(home.state)
    hurry = threading.Event()
    in_main = threading.current_thread() is threading.main_thread()
    former = signal.signal(signal.SIGINT, lambda *_: hurry.set()) if in_main else None
    try:
        if not ended():
            psutil.Process(supervisor).terminate()
        deadline = time.monotonic() + STOP_S
        while not ended():
            if hurry.is_set() or time.monotonic() > deadline:
                stop(lambda: descendants([] if ended() else [supervisor]), grace_s=0)
            time.sleep(0.02)
        if state is not None and state.supervisor.pid == supervisor:
            # Nothing is here, unless the supervisor was killed.
            sessions = [each.pid for each in state.processes.values()]
            stop(lambda: of_sessions(sessions))
    except psutil.NoSuchProcess:
        pass
    finally:
        if in_main:
            signal.signal(signal.SIGINT, former)
