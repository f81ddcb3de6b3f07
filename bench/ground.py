"""Where everything is measured: one stack, one simulator, one S3 server, the same users for all."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from measuring import Tree

from fanfold.local.settings import Ports, airflow_environment
from fanfold.local.stack import find, running_stack
from fanfold.local.state import read
from fanfold.simulator.process import Simulator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.local.stack import Stack

ROOT = Path(__file__).absolute().parents[1]
FIRST_UID = 2_000_000_000


class Ground:
    """A folder, and a stack in it that is started when it is first asked for.

    Args:
        extra_env: Variables for the stack, over what it sets itself.
    """

    def __init__(self, extra_env: Mapping[str, str] | None = None) -> None:
        self.extra_env = extra_env
        self._open = ExitStack()
        self._running = ExitStack()
        self._stack: Stack | None = None
        self._started = 0

    def __enter__(self) -> Self:
        self.folder = Path(
            self._open.enter_context(tempfile.TemporaryDirectory(prefix="fanfold-bench-"))
        )
        self._dags = self.folder / "dags"
        shutil.copytree(ROOT / "dags", self._dags, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (ROOT / "bench" / "dags").glob("*.py"):
            shutil.copy(path, self._dags)
        return self

    def __exit__(self, *_: object) -> None:
        self.close_stack()
        self._open.close()

    @property
    def stack(self) -> Stack:
        """The stack; a new one where there is none, or the last one ended."""
        if self._stack is None or find(self._stack.home) is None:
            self.close_stack()
            self._started += 1
            home = self.folder / f"stack-{self._started}"
            self._stack = self._running.enter_context(
                running_stack(home, dags=self._dags, extra_env=self.extra_env)
            )
            # A DAG file is parsed for the first time: that is no part of a run.
            for dag_id in ("weibo_user_profiles", "empty_shape", "one_task_a_user"):
                self._stack.wait_for_dag(dag_id)
        return self._stack

    def close_stack(self) -> None:
        """Stop the stack, with whatever still runs in it; the next one is a new one."""
        self._running.close()
        self._stack = None

    @property
    def tree(self) -> Tree:
        """The processes of the stack without the simulator and the S3 server."""
        state = read(self.stack.home.state) or self.stack.state
        servers = [state.processes[name] for name in ("simulator", "s3")]
        return Tree([state.supervisor], servers)

    @property
    def simulator(self) -> Simulator:
        """The stack's simulator."""
        state = read(self.stack.home.state) or self.stack.state
        return Simulator(self.stack.simulator_url, self.stack.token, state.processes["simulator"])

    def slots(self) -> int:
        """Return how many tasks of a DAG the stack runs at once."""
        home = self.stack.home
        environment = airflow_environment(
            home, home.secrets(), Ports(0, 0, 0, 0), dags=self._dags, scheduled=False
        )
        return int(environment["AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG"])

    def users(self, items: int) -> Path:
        """Return a CSV file of so many users."""
        path = self.folder / f"users-{items}.csv"
        if not path.exists():
            uids = (str(FIRST_UID + number) for number in range(items))
            path.write_text("\n".join(["user_id", *uids]) + "\n", "ascii")
        return path
