"""The answers as Markdown tables."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import analytic
from parameters import sources
from simulation import simulate
from sizing import with_workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from measured import Compared
    from parameters import Cluster, Work
    from sizing import Answer, Change

WORKERS = (1, 2, 4, 8, 16)
POD = {"start_wait_s": 5.0, "task_cpu_s": 0.96}
"""A pod for each task: its start is assumed; without what workers import once, a task takes 0.70 core
seconds more (docs/performance.md, What a mapped task costs)."""
_SHOWN = ("slots", "cores", "scheduler", "database", "shared directory", "table")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are figures."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def time(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 600:
        return f"{seconds:.1f} s" if seconds < 60 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def compared(rows: Sequence[Compared]) -> str:
    """Return measured and simulated seconds."""
    return table(
        ["run", "measured, s", "simulated, s", "error"],
        [
            [row.what, f"{row.measured:,.1f}", f"{row.simulated:,.1f}", f"{row.error:+.0%}"]
            for row in rows
        ],
    )


def by_workers(cluster: Cluster, work: Work, seed: int) -> str:
    """Return the time of a run by workers, by simulation and formula, and what is used how much."""
    rows = []
    for count in WORKERS:
        these = with_workers(cluster, count)
        outcome = simulate(these, work, seed)
        formula = analytic.seconds(these, work)
        shares = [f"{outcome.use[name]:.0%}" for name in _SHOWN]
        bound = outcome.bottleneck
        rows.append([str(count), time(outcome.seconds), time(formula), bound, *shares])
    return table(["workers", "simulated", "formula", "bound by", *_SHOWN], rows)


def by_executor(cluster: Cluster, work: Work, seed: int) -> str:
    """Return the same work on the same cores, in workers' slots and in pods."""
    rows = []
    for count in (2, 8):
        for size in (2_500, 10_000):
            these = with_workers(cluster, count)
            pods = replace(these, **POD)
            batches = replace(work, batch_size=size)
            seconds = [simulate(each, batches, seed).seconds for each in (these, pods)]
            batch = f"{these.places} tasks at once, batches of {size:,}"
            rows.append(
                [batch, *(time(each) for each in seconds), f"×{seconds[1] / seconds[0]:.2f}"]
            )
    return table(["", "workers with slots", "a pod for each task", "ratio"], rows)


def sizes(rows: Iterable[tuple[Work, float, Answer]]) -> str:
    """Return how many workers are enough, or what stands in the way."""
    lines = []
    for work, minutes, answer in rows:
        allowed = [f"{work.per_second:g} requests/s"] * (work.per_second > 0)
        allowed += [f"{work.per_hour:,} requests/h"] * (work.per_hour > 0)
        allowed += [f"{work.items_per_request} items a request"] * (work.items_per_request > 1)
        allowed += [f"{work.concurrency} in flight a batch"] * (work.concurrency != 16)
        outcome = answer.outcome
        lines.append(
            [
                f"{work.items:,} items in {minutes:g} min",
                ", ".join(allowed) or "no quota",
                str(answer.workers or "none"),
                time(outcome.seconds) if outcome else "–",
                outcome.bottleneck if outcome else answer.why,
            ]
        )
    return table(["wanted", "under", "workers", "then it takes", "bound by"], lines)


def days(plans: Sequence[tuple[int, Work, Answer]]) -> str:
    """Return the plan of a day, a column a window."""
    columns = [_day(work, answer) for _, work, answer in plans]
    header = ["", *(f"in {hours} h" for hours, _, _ in plans)]
    return table(
        header, [[name, *(each.get(name, "–") for each in columns)] for name in columns[0]]
    )


def _day(work: Work, answer: Answer) -> dict[str, str]:
    outcome = answer.outcome
    if outcome is None:
        return {"workers": answer.why}
    batches = len(work.batches(0))
    begun = work.every_s * work.shards
    found = {
        "runs × items": f"{work.shards} × {work.run_items(0):,}",
        "batches × items": f"{batches} × {work.batches(0)[0]:,}",
        "a run begins every": time(work.every_s),
        "workers": str(answer.workers),
        "the last dataset is out after": time(outcome.seconds),
        "the slowest run took": time(outcome.longest),
        "requests a second, while runs begin": f"{outcome.requests / begun:,.0f}",
        "quota by the hour that this needs": f"{outcome.requests / begun * 3600:,.0f}",
        "with 50 items a request": f"{outcome.requests / begun * 3600 / 50:,.0f}",
        "task tries": f"{outcome.tries:,}",
        "statements a second, mean": f"{outcome.statements / outcome.seconds:,.0f}",
        "into the shared directory, GB": f"{outcome.written / 1e9:,.0f}",
    }
    return found | {f"{name}, used": f"{outcome.use[name]:.0%}" for name in _SHOWN}


def by_turns(cluster: Cluster, rows: Iterable[tuple[int, int, Work]], seed: int) -> str:
    """Return how late the last of some runs is, in one DAG and in a DAG for each."""
    lines = []
    for hours, count, work in rows:
        outcome = simulate(with_workers(cluster, count), work, seed)
        late = outcome.seconds - work.every_s * (work.shards - 1)
        which = "one, in turn" if work.in_turn else "one for each shard"
        began = f"{work.shards}, every {time(work.every_s)}"
        lines.append([which, f"{hours} h", str(count), began, time(late)])
    header = ["DAGs", "window", "workers", "runs", "the last is out, after it was due to begin"]
    return table(header, lines)


def by_order(cluster: Cluster, rows: Iterable[tuple[bool, int, Work]], seed: int) -> str:
    """Return what the order of tasks does."""
    lines = []
    for finish_first, count, work in rows:
        outcome = simulate(with_workers(cluster, count), work, seed)
        rule = "upstream" if finish_first else "downstream (default)"
        share = f"{outcome.use['slots']:.0%}"
        lines.append([rule, str(count), share, time(outcome.longest), time(outcome.seconds)])
    header = [
        "`weight_rule`",
        "workers",
        "slots used",
        "slowest run",
        "the last dataset is out after",
    ]
    return table(header, lines)


def changes(found: Iterable[Change], at_most_s: float) -> str:
    """Return what each uncertain parameter makes of the plan."""
    rows = []
    for change in found:
        outcome = change.outcome
        behind = {name: share for name, share in outcome.use.items() if name != "slots"}
        most = max(behind, key=behind.__getitem__)
        rows.append(
            [
                f"`{change.name}` = {change.value:.3g}",
                f"{outcome.use['slots']:.0%}",
                time(outcome.longest),
                "yes" if outcome.longest <= at_most_s else "no",
                f"{most} {behind[most]:.0%}",
            ]
        )
    header = ["with", "slots used", "slowest run", f"within {time(at_most_s)}", "most used behind"]
    return table(header, rows)


def parameters(cluster: Cluster) -> str:
    """Return every parameter with its value, and where that comes from."""
    known = sources()
    rows = []
    for each in fields(cluster):
        value = getattr(cluster, each.name)
        default, source = known[each.name]
        rows.append(
            [
                f"`{each.name}`",
                f"{value:g}",
                source if value == default else "measured by --measured",
            ]
        )
    return table(["parameter", "value", "from"], rows).replace("| --: | --: |", "| --: | --- |")
