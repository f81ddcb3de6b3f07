"""How time and memory grow with the number of users.

    python bench/size.py --users 10000 100000 1000000
    python bench/size.py --users 10000000 --dry-run       # only reads and plans the list

Runs the pipeline for lists of several lengths in a local stack. Prints where the time goes, the size
of the workspace, and the peak resident memory (VmHWM) of the largest process of each kind.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from figures import figure, machine, table
from stack import PIPELINE, Bench, DagRun, moment, running_bench

if TYPE_CHECKING:
    from collections.abc import Iterator

TASK_TITLE = "airflow worker -- "
"""Airflow titles the process of a task with this and the id of the task instance."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Figures of one run.

    Attributes:
        users: Length of the list.
        run: Seconds, tasks and files of the run.
        steps: Task → seconds from the first start to the last end of its instances.
        memory: Kind of process → peak of the largest one, MiB.
    """

    users: int
    run: dict[str, float]
    steps: dict[str, float]
    memory: dict[str, float]


def measure(bench: Bench, users: int, timeout: float, *, dry_run: bool) -> Growth:
    """Run the pipeline for N users."""
    conf = {"items_uri": bench.users(users), "dry_run": dry_run}
    run = bench.run(PIPELINE, conf, items=0 if dry_run else users, timeout=timeout)
    paths = bench.workspace(run.run_id).root.rglob("*")
    files = [path.stat().st_size for path in paths if path.is_file()]
    bench.remove(run)
    seconds = run.usage.seconds
    return Growth(
        users,
        {
            "DAG run, s": seconds,
            "s per 1,000 users": 1000 * seconds / users,
            "mapped tasks": sum(each["map_index"] >= 0 for each in run.instances),
            "workspace, MiB": sum(files) / 2**20,
            "files": len(files),
            "all processes, MiB": run.usage.together_mb,
        },
        dict(_steps(run.instances)),
        _memory(bench, run),
    )


def _steps(instances: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    """Yield each task that ran with its seconds, in the order of their starts."""
    ran = [each for each in instances if each["duration"]]  # a skipped task has none
    ran.sort(key=lambda each: str(each["start_date"]))
    for task_id in dict.fromkeys(each["task_id"] for each in ran):
        own = [each for each in ran if each["task_id"] == task_id]
        yield task_id, max(moment(each["end_date"]) for each in own) - moment(own[0]["start_date"])


def _memory(bench: Bench, run: DagRun) -> dict[str, float]:
    tasks = {each["id"]: f"task {each['task_id']}" for each in run.instances}
    names = {pid: name for name, pid in bench.stack.state.processes.items()}
    memory: dict[str, float] = {}
    for (pid, title), peak in run.watch.peaks.items():
        kind = tasks.get(title.removeprefix(TASK_TITLE).strip()) or names.get(pid, "others")
        memory[kind] = max(memory.get(kind, 0.0), peak)
    return memory


def _print(title: str, sizes: list[Growth], figures: list[dict[str, float]]) -> None:
    names = dict.fromkeys(name for each in figures for name in each)
    rows = [
        [name, *(figure(each[name]) if name in each else "–" for each in figures)] for name in names
    ]
    print("\n" + table([title, *(f"{each.users:,} users" for each in sizes)], rows))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, nargs="+", required=True, help="lengths of the lists")
    parser.add_argument("--dry-run", action="store_true", help="only read and plan the lists")
    parser.add_argument("--timeout", type=float, default=7200, help="seconds for one run")
    given = parser.parse_args()
    with running_bench() as bench:
        sizes = [
            measure(bench, users, given.timeout, dry_run=given.dry_run) for users in given.users
        ]
    print(machine())
    _print("run", sizes, [each.run for each in sizes])
    _print("seconds from first start to last end", sizes, [each.steps for each in sizes])
    _print("largest process, MiB", sizes, [each.memory for each in sizes])


if __name__ == "__main__":
    main()
