"""How time and memory grow with the number of users: is it linear, and does memory stay?

    python bench/size.py --users 10000 100000 1000000 [--rounds 1] [--home FOLDER]
    python bench/size.py --plan 10000000

The first form runs the pipeline for lists of several lengths in an embedded stack and prints, for
each, where the seconds go, what each kind of process takes at most, and what is left in the
workspace. The second reads and plans a list, each stage in a new process that has imported all that
a task's has.

Memory is a process's own peak of resident pages, shared ones included (VmHWM, proc(5)), and the peak
of all processes of a kind together, with shared pages counted once (PSS).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from fanfold.local.stack import running_stack
from fanfold.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fanfold.local.stack import Stack

ROOT = Path(__file__).resolve().parents[1]
DAG = "weibo_user_profiles"
FIRST_UID = 2_000_000_000
LOOK_S = 0.5
SHARED_LOOK_S = 5.0
"""Seconds between two looks at the shared pages; one takes some tenths of a second."""
TASK_TITLE = "airflow worker -- "
"""How Airflow titles the process of a task, with the id of the task instance behind it, and the
executor's worker that it was forked from."""
BATCH_TASKS = ("batch.fetch", "batch.process")
STEPS = (
    "preflight",
    "read_items",
    "plan",
    *BATCH_TASKS,
    "consolidate",
    "publish",
    "load",
    "report",
)


@dataclass(slots=True)
class Memory:
    """What a kind of process takes at most, in MiB."""

    largest: float = 0.0
    together: float = 0.0


class Watch:
    """Looks at all processes of a stack while a ``with`` block runs.

    Attributes:
        kinds: Memory by kind: the name of a server, or the id of a task instance.
        all_together: Peak of all processes together, shared pages counted once, MiB.
    """

    def __init__(self, stack: Stack) -> None:
        self.kinds: dict[str, Memory] = defaultdict(Memory)
        self.all_together = 0.0
        self._root = stack.state.supervisor
        self._names = {pid: name for name, pid in stack.state.processes.items()}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        for pid, _ in self._processes():
            # The peaks of processes that live long begin anew.
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5", "ascii")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        due = 0.0
        while not self._end.wait(LOOK_S):
            together: dict[str, float] = defaultdict(float)
            shared = time.monotonic() >= due
            for pid, kind in self._processes():
                memory = self.kinds[kind]
                memory.largest = max(memory.largest, _mebibytes(f"/proc/{pid}/status", "VmHWM:"))
                if shared:
                    together[kind] += _mebibytes(f"/proc/{pid}/smaps_rollup", "Pss:")
            if shared:
                for kind, sum_of_kind in together.items():
                    self.kinds[kind].together = max(self.kinds[kind].together, sum_of_kind)
                self.all_together = max(self.all_together, sum(together.values()))
                due = time.monotonic() + SHARED_LOOK_S

    def _processes(self) -> Iterator[tuple[int, str]]:
        """Yield all processes with their kinds: a task's by its id, others by their server."""
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(self._root)
            kinds = {self._root: "supervisor"}
            for process in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    title = " ".join(process.cmdline())
                    kind = self._names.get(process.pid) or kinds.get(process.ppid(), "others")
                    kinds[process.pid] = kind
                    if title.startswith(TASK_TITLE):
                        told = title.removeprefix(TASK_TITLE).strip()
                        kind = "executor's workers" if told.startswith("LocalExecutor") else told
                    yield process.pid, kind


def _mebibytes(path: str, name: str) -> float:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(path).read_text("utf-8", "replace").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    return 0.0


@dataclass(slots=True)
class Run:
    """What a run took.

    Attributes:
        seconds: From its start to its end.
        steps: Seconds by task: from the first start to the last end of its instances.
        work: Seconds by task: the sum of its instances.
        mapped: Mapped tasks.
        largest: Largest peak of a process by kind, MiB.
        together: Peak of all processes of a kind, MiB.
        all_together: Peak of all processes, MiB.
        bytes: Of its workspace.
        files: In its workspace.
    """

    seconds: float
    steps: dict[str, float] = field(default_factory=dict)
    work: dict[str, float] = field(default_factory=dict)
    mapped: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    together: dict[str, float] = field(default_factory=dict)
    all_together: float = 0.0
    bytes: int = 0
    files: int = 0


def measure(stack: Stack, users: int, timeout: float) -> Run:
    """Run the pipeline for so many users."""
    path = stack.home.root / f"{users}.csv"
    write_list(path, (FIRST_UID + number for number in range(users)))
    with Watch(stack) as watch:
        run_id = stack.trigger(DAG, {"items_uri": path.as_uri()})
        state = stack.wait(DAG, run_id, timeout)
    path.unlink()
    if state != "success":
        raise SystemExit(f"{run_id} is {state}: see {stack.home.airflow / 'logs'}")
    run = stack.api("GET", f"/api/v2/dags/{DAG}/dagRuns/{run_id}")
    made = Run(_moment(run["end_date"]) - _moment(run["start_date"]))
    _add_tasks(made, _instances(stack, run_id), watch)
    made.all_together = watch.all_together
    workspace = Workspace.of_run(stack.home.shared, DAG, run_id)
    counts = json.loads(workspace.manifest.read_text("utf-8"))["counts"]
    if counts["ok"] != users:
        raise SystemExit(f"{counts} for {users} users")
    for file in workspace.root.rglob("*"):
        if file.is_file():
            made.bytes += file.stat().st_size
            made.files += 1
    shutil.rmtree(workspace.root)
    return made


def _instances(stack: Stack, run_id: str) -> list[dict[str, Any]]:
    path = f"/api/v2/dags/{DAG}/dagRuns/{run_id}/taskInstances"
    found: list[dict[str, Any]] = []
    while True:
        page = stack.api("GET", path, params={"limit": 100, "offset": len(found)})
        found += page["task_instances"]
        if not page["task_instances"] or len(found) >= page["total_entries"]:
            return found


def _add_tasks(made: Run, instances: list[dict[str, Any]], watch: Watch) -> None:
    tasks = {each["id"]: each["task_id"] for each in instances}
    for kind, memory in watch.kinds.items():
        name = f"task {tasks[kind]}" if kind in tasks else kind
        made.largest[name] = max(made.largest.get(name, 0.0), memory.largest)
        if kind not in tasks:
            made.together[name] = memory.together
    for step in STEPS:
        own = [each for each in instances if each["task_id"] == step and each["start_date"]]
        starts = [_moment(each["start_date"]) for each in own]
        ends = [_moment(each["end_date"]) for each in own]
        made.steps[step] = max(ends) - min(starts)
        made.work[step] = sum(ends) - sum(starts)
    made.mapped = sum(each["map_index"] >= 0 for each in instances)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def write_list(path: Path, uids: Iterable[int]) -> None:
    """Write a list of users as CSV."""
    with path.open("w") as file:
        file.write("user_id\n")
        file.writelines(f"{uid}\n" for uid in uids)


def print_runs(sizes: list[int], rounds: dict[int, list[Run]]) -> None:
    """Print the medians of all sizes; ratios are to the first."""
    first = statistics.median(run.seconds for run in rounds[sizes[0]]) / sizes[0]
    print(f"{'users':>10} {'DAG run s':>10} {'s/1,000':>8} {'ratio':>6} {'mapped':>7} ", end="")
    print(f"{'workspace MiB':>14} {'B/user':>7} {'files':>7} {'all processes MiB':>18}")
    for size in sizes:
        runs = rounds[size]
        seconds = statistics.median(run.seconds for run in runs)
        last = runs[-1]
        print(
            f"{size:>10,} {seconds:>10.1f} {seconds / size * 1000:>8.3f} "
            f"{seconds / size / first:>6.2f} {last.mapped:>7} {last.bytes / 2**20:>14,.1f} "
            f"{last.bytes / size:>7,.0f} {last.files:>7,} "
            f"{max(run.all_together for run in runs):>18,.0f}"
        )
    print("\nseconds from first start to last end (sum of the mapped tasks)")
    _print_table(sizes, list(STEPS), lambda size, step: _seconds(rounds[size], step))
    print("\nlargest process of a kind, MiB (all of the kind, shared pages once)")
    kinds = sorted({kind for runs in rounds.values() for run in runs for kind in run.largest})
    _print_table(sizes, kinds, lambda size, kind: _memory(rounds[size], kind))


def _print_table(sizes: list[int], names: list[str], cell: Any) -> None:
    print(f"{'':24}" + "".join(f"{size:>20,}" for size in sizes))
    for name in names:
        print(f"{name:24}" + "".join(f"{cell(size, name):>20}" for size in sizes))


def _seconds(runs: list[Run], step: str) -> str:
    span = f"{statistics.median(run.steps[step] for run in runs):.1f}"
    work = statistics.median(run.work[step] for run in runs)
    return f"{span} ({work:.1f})" if step in BATCH_TASKS else span


def _memory(runs: list[Run], kind: str) -> str:
    largest = max(run.largest.get(kind, 0.0) for run in runs)
    together = max(run.together.get(kind, 0.0) for run in runs)
    return f"{largest:,.0f} ({together:,.0f})" if together else f"{largest:,.0f}"


STAGE = """
import json, sys, time
from pathlib import Path
sys.argv = ["airflow", "scheduler"]  # whose local settings import what tasks need
import airflow_local_settings
from fanfold import planning, readers, sources
from fanfold.model import Basis, Forecast
from fanfold.workspace import Workspace

stage, path, folder = {arguments!r}

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

workspace = Workspace(Path(folder))
source = sources.get("weibo")
before, start, used = peak(), time.perf_counter(), time.process_time()
if stage == "read_items":
    located = readers.from_file(Path(path), source.item_column, name=path)
    items, _ = readers.write_items(workspace, located, source.check_item)
else:
    plan = planning.write_plan(
        workspace, source="weibo", wanted_size=None, logical_date="", started_at="",
        foretell=lambda items, _: Forecast(items, None, Basis.UNKNOWN),
    )
    refs = [ref.as_json() for ref in planning.batch_refs(workspace, plan)]
    items = plan.items
seconds, used = time.perf_counter() - start, time.process_time() - used
print(json.dumps([items, seconds, used, before, peak()]))
"""


def plan_lists(items: int, folder: Path) -> None:
    """Print what it takes to read and to plan lists of that length."""
    generator = random.Random(items)
    kinds = {
        "in any order": lambda: (generator.randrange(10**9, 10**10) for _ in range(items)),
        "all the same": lambda: (FIRST_UID for _ in range(items)),
        "twice over": lambda: (FIRST_UID + number % (items // 2) for number in range(items)),
    }
    print(f"{items:,} uids in a CSV file: seconds (CPU), peak MiB (growth)")
    print(f"{'list':14} {'items':>12} {'read_items':>24} {'plan':>24} {'both':>8}")
    for name, uids in kinds.items():
        path = folder / "items.csv"
        write_list(path, uids())
        cells = []
        total = 0.0
        for stage in ("read_items", "plan"):
            counted, seconds, used, before, after = _stage(stage, path, folder)
            cells.append(f"{seconds:.1f} ({used:.1f}) {after:,.0f} (+{after - before:.0f})")
            total += seconds
        print(f"{name:14} {counted:>12,} {cells[0]:>24} {cells[1]:>24} {total:>6.1f} s")
        shutil.rmtree(folder / "run")


def _stage(stage: str, path: Path, folder: Path) -> list[float]:
    code = STAGE.format(arguments=(stage, str(path), str(folder / "run")))
    environment = os.environ | {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "PYTHONPATH": str(ROOT / "config"),
    }
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, nargs="+", default=[], help="lengths of the lists")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--plan", type=int, help="only read and plan a list of that length")
    parser.add_argument("--home", type=Path, help="folder for the stack; kept, with its logs")
    parser.add_argument("--timeout", type=float, default=7200, help="seconds a run may take")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="fanfold-size-") as temporary:
        if given.plan:
            plan_lists(given.plan, Path(temporary))
        if given.users:
            rounds: dict[int, list[Run]] = defaultdict(list)
            with running_stack(given.home or Path(temporary) / "stack") as stack:
                measure(stack, 1000, given.timeout)  # warms up
                for _ in range(given.rounds):
                    for size in given.users:
                        rounds[size].append(measure(stack, size, given.timeout))
            print_runs(given.users, rounds)


if __name__ == "__main__":
    main()
