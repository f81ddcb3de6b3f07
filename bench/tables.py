"""The figures as Markdown tables, for the terminal and for docs/performance.md alike."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from matrix import BASELINE, CONTENDERS
from results import median, peak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Data = dict[str, Any]

_NONE = "–"


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are figures."""
    names = list(header)
    lines = [names, ["---"] + ["--:"] * (len(names) - 1), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(data: Data) -> str:
    """Return a sentence about the machine."""
    about = data["machine"]
    return (
        f"Measured on {about['day']}: {about['cores']} cores ({about['processor']}), "
        f"{about['memory_gb']} GB, {about['system']}, Python {about['python']}."
    )


# --- the matrix ------------------------------------------------------------------------------


def _seconds(cell: Data) -> float:
    return median(cell["rounds"], "seconds")


def _cpu(cell: Data) -> float:
    return median(cell["rounds"], "cpu_s") / int(cell["items"]) * 1000


def _largest(cell: Data) -> float:
    return peak(cell["rounds"], "largest_mb")


def _together(cell: Data) -> float:
    return peak(cell["rounds"], "together_mb")


_METRICS: tuple[tuple[str, Callable[[Data], float]], ...] = (
    ("Seconds from start to end", _seconds),
    ("CPU seconds per 1,000 users", _cpu),
    ("Peak memory of the largest process, MiB", _largest),
    ("Peak memory of all processes together, MiB", _together),
)


def matrix(data: Data) -> str:
    """Return a table for each latency and metric, with ratios to ``requests`` in two processes."""
    cells = data.get("matrix", {}).values()
    parts = []
    for latency in sorted({cell["latency_ms"] for cell in cells}):
        here = [cell for cell in cells if cell["latency_ms"] == latency]
        flight = here[0]["in_flight"]
        shared = f"{flight} requests in flight" if flight else "16 requests in flight a process"
        parts.append(f"### {latency} ms latency, {shared}")
        parts += [_metric(here, title, of) for title, of in _METRICS]
    return "\n\n".join(parts) or "Not measured."


def _metric(cells: list[Data], title: str, of: Callable[[Data], float]) -> str:
    sizes = sorted({cell["items"] for cell in cells})
    by_place = {(cell["contender"], cell["items"]): cell for cell in cells}

    def text(name: str, items: int) -> str:
        cell = by_place.get((name, items))
        if cell is None or not cell.get("rounds"):
            return "failed" if cell and "failed" in cell else _NONE
        value = of(cell)
        if not value:  # the memory of all together is looked at in one round alone
            return _NONE
        base = by_place.get((BASELINE, items), {})
        ratio = f" (×{value / of(base):.2f})" if base.get("rounds") else ""
        return f"{_figure(value)}{ratio}"

    rows = [
        [contender.label, *(text(name, items) for items in sizes)]
        for name, contender in CONTENDERS.items()
        if any((name, items) in by_place for items in sizes)
    ]
    return f"{title}:\n\n" + markdown(["", *(f"{items:,} users" for items in sizes)], rows)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def not_run(data: Data) -> str:
    """Return what was not run or failed, and why, as a list."""
    lines = []
    for section in ("matrix", "in_flight"):
        for cell in data.get(section, {}).values():
            reason = cell.get("not_run") or (cell.get("failed") and f"failed: {cell['failed']}")
            if reason:
                label = CONTENDERS[cell["contender"]].label
                lines.append(
                    f"- {label}, {cell['items']:,} users, {cell['latency_ms']} ms: {reason}."
                )
    slope = data.get("slope", {})
    if "seconds" in slope:
        lines.append(
            f"- {CONTENDERS['mapped'].label}: each further user costs {slope['seconds']:.2f} s and "
            f"{slope['cpu_s']:.2f} CPU seconds (from 20 to 100 users)."
        )
    everything = "Nothing." if data.get("matrix") else "Not measured."
    return "\n".join(lines) or everything


def growth(data: Data) -> str:
    """Return what 1,000 further users cost between neighbouring sizes."""
    cells = {
        (cell["contender"], cell["latency_ms"], cell["items"]): cell
        for cell in data.get("matrix", {}).values()
        if cell.get("rounds")
    }
    rows = []
    sizes = sorted({items for *_, items in cells})
    steps = list(pairwise(sizes))
    for name, contender in CONTENDERS.items():
        for latency in sorted({where for _, where, _ in cells}):
            ends = [
                (cells.get((name, latency, a)), cells.get((name, latency, b))) for a, b in steps
            ]
            if any(less and more for less, more in ends):
                rows.append([f"{contender.label}, {latency} ms", *(_slope(*end) for end in ends)])
    header = ["seconds per 1,000 further users", *(f"{a:,} → {b:,}" for a, b in steps)]
    return markdown(header, rows) if rows else "Not measured."


def _slope(less: Data | None, more: Data | None) -> str:
    if not less or not more:
        return _NONE
    return f"{1000 * (_seconds(more) - _seconds(less)) / (more['items'] - less['items']):.2f}"


# --- the other sections ----------------------------------------------------------------------


def in_flight(data: Data) -> str:
    """Return how much of concurrency ÷ latency each reaches."""
    rows = []
    for cell in data.get("in_flight", {}).values():
        if not cell.get("rounds"):
            continue
        allowed = cell["in_flight"] / (cell["latency_ms"] / 1000)
        fetched = cell["items"] / median(cell["rounds"], "fetch_s")
        whole = cell["items"] / _seconds(cell)
        rows.append(
            [
                CONTENDERS[cell["contender"]].label,
                *(f"{cell['items']:,}", str(cell["in_flight"]), f"{allowed:,.0f}"),
                *(f"{fetched:,.0f} ({fetched / allowed:.0%})", f"{whole:,.0f}"),
            ]
        )
    header = ["", "users", "in flight", "allowed/s", "fetched/s, first to last", "end to end/s"]
    return markdown(header, rows) if rows else "Not measured."


def clients(data: Data) -> str:
    """Return the HTTP clients, the fastest first."""
    found = data.get("clients", {})
    measured = {name: each for name, each in found.items() if "cpu_ms" in each}
    rows = [
        [name, f"{each['per_second']:,}", f"{each['cpu_ms']:.3f}"]
        for name, each in sorted(measured.items(), key=lambda pair: pair[1]["cpu_ms"])
    ]
    header = ["client, one process", "requests/s", "CPU ms a request"]
    return markdown(header, rows) if rows else "Not measured."


def mapped_tasks(data: Data) -> str:
    """Return what a mapped task costs."""
    rows = [
        [name, f"{each['seconds']:.2f}", f"{each['cpu_s']:.2f}"]
        for name, each in data.get("mapped_tasks", {}).items()
        if "seconds" in each
    ]
    header = ["one more mapped task", "seconds", "CPU seconds"]
    return markdown(header, rows) if rows else "Not measured."


def overhead(data: Data) -> str:
    """Return 20 users against an empty DAG, and what a DAG file costs to import."""
    from statistics import median as middle

    runs = {name: middle(taken) for name, taken in data.get("overhead", {}).items()}
    rows = []
    if len(runs) == 2:
        empty, pipeline = runs["empty_shape"], runs["weibo_user_profiles"]
        rows += [
            ["20 mapped users, a DAG of the same shape that does nothing", f"{empty:.1f} s"],
            ["20 mapped users, the pipeline", f"{pipeline:.1f} s (×{pipeline / empty:.2f})"],
        ]
    rows += [
        [f"importing {name}.py, over `import airflow.sdk`", f"{cost:.0f} ms"]
        for name, cost in data.get("imports", {}).items()
    ]
    return markdown(["", ""], rows) if rows else "Not measured."


def model(data: Data) -> str:
    """Return the model's constants, and predictions against runs."""
    found = data.get("model", {})
    if "constants" not in found:
        return "Not measured."
    constants = markdown(
        ["constant", "milliseconds"],
        [[f"`{name}`", f"{1000 * value:,.3g}"] for name, value in found["constants"].items()],
    )
    checks = []
    for each in found.get("checks", []):
        quota = each["requests_per_second"]
        facts = (
            f"{each['items']:,} users, {each['batches']} × {each['concurrency']} in flight, "
            f"{1000 * each['latency_s']:.0f} ms"
        )
        checks.append(
            [
                facts + (f", {quota:g} requests/s" if quota else ""),
                f"{each['predicted']:.1f}",
                f"{each['measured']:.1f}",
                f"{each['predicted'] / each['measured'] - 1:+.0%}",
            ]
        )
    header = ["run that the constants do not come from", "predicted, s", "measured, s", "error"]
    return constants + "\n\n" + markdown(header, checks)


def goals(data: Data) -> str:
    """Return each goal, what was measured, and whether it is met."""
    cells = {
        (cell["contender"], cell["items"], cell["latency_ms"]): cell
        for cell in data.get("matrix", {}).values()
        if cell.get("rounds")
    }
    rows: list[list[str]] = []

    def compare(goal: str, other: str, of: Callable[[Data], float], most: float) -> None:
        ours, theirs = cells.get(("fanfold", 10_000, 0)), cells.get((other, 10_000, 0))
        if ours and theirs:
            ratio = of(ours) / of(theirs)
            rows.append([goal, f"×{most:.2f}", f"×{ratio:.2f}", "yes" if ratio <= most else "no"])

    compare("10,000 users, 0 ms: time of `requests` in two processes", BASELINE, _seconds, 1.5)
    compare("10,000 users, 0 ms: time of dlt", "dlt", _seconds, 1 / 3)
    compare("10,000 users, 0 ms: CPU of `requests` in one process", "plain1", _cpu, 2.0)
    compare("10,000 users, 0 ms: CPU of `requests` in two processes", BASELINE, _cpu, 2.0)
    flights = [*data.get("in_flight", {}).values(), *data.get("matrix", {}).values()]
    for cell in flights:
        ours = cell["contender"] == "fanfold" and cell.get("rounds")
        if ours and cell["latency_ms"] and cell["items"] >= 5_000:
            allowed = cell["in_flight"] / (cell["latency_ms"] / 1000)
            share = cell["items"] / median(cell["rounds"], "fetch_s") / allowed
            goal = (
                f"{cell['items']:,} users, {cell['latency_ms']} ms, {cell['in_flight']} in flight: "
                "share of concurrency ÷ latency"
            )
            rows.append([goal, "90%", f"{share:.0%}", "yes" if share >= 0.9 else "no"])
    return (
        markdown(["goal", "at most/at least", "measured", "met"], rows) if rows else "Not measured."
    )


# --- the run page ----------------------------------------------------------------------------

PAGE_BASELINE = "Airflow's REST API: 100 task instances"
"""What the times of the page are held against."""
PAGE_PAINT = "what the first paint waits for: page, styles, scripts, summary"
PAGE_DRAWN = "our page, a browser that was never there"
PAGE_DRAWN_AGAIN = "our page, once more"
PAGE_DRAWN_BASELINE = "Airflow's page of the same run, a browser that was never there"
_PAGE_GOALS = (
    (100_000, PAGE_DRAWN, 1000),
    (100_000, PAGE_DRAWN_AGAIN, 1000),
    (1_000_000, "item by key: ok", 300),
    (1_000_000, "item by key: missing", 300),
    (1_000_000, "item by key: invalid", 300),
    (1_000_000, "item by key: ok, from disk", 300),
)


def page_api(data: Data) -> str:
    """Return what the run page's API takes, by request, and whether its goals are met."""
    runs = sorted(data.get("page_api", {}).values(), key=lambda run: int(run["items"]))
    parts = [machine(data)] if runs else []
    if runs:
        parts += [_page_drawn(runs), _page_requests(runs), _page_goals(runs), _page_costs(runs)]
    indexed = sorted(data.get("page_index", {}).values(), key=lambda list_: int(list_["items"]))
    if indexed:
        parts.append(_page_index(indexed))
    return "\n\n".join(parts) or "Not measured."


def _page_drawn(runs: list[Data]) -> str:
    header = ["in Chromium, until the numbers are on the screen"]
    for run in runs:
        header += [f"{run['items']:,} items: ms (95th)", "ratio"]
    rows = []
    for name in (PAGE_DRAWN_BASELINE, PAGE_DRAWN, PAGE_DRAWN_AGAIN):
        row = [name]
        for run in runs:
            found, base = run["browser"][name], run["browser"][PAGE_DRAWN_BASELINE]
            row += [
                f"{_figure(found['median_ms'])} ({_figure(found['p95_ms'])})",
                f"×{found['median_ms'] / base['median_ms']:.2f}",
            ]
        rows.append(row)
    return markdown(header, rows)


def _page_requests(runs: list[Data]) -> str:
    asked = [_page_figures(run) for run in runs]
    header = [""]
    for run in runs:
        header += [f"{run['items']:,} items: ms (95th)", "KiB", "ratio"]
    rows = []
    for name in asked[0]:
        row = [name]
        for figures in asked:
            found, base = figures[name], figures[PAGE_BASELINE]
            row += [
                f"{_figure(found['median_ms'])} ({_figure(found['p95_ms'])})",
                _figure(found["kib"]),
                f"×{found['median_ms'] / base['median_ms']:.2f}",
            ]
        rows.append(row)
    return markdown(header, rows)


def _page_figures(run: Data) -> dict[str, Data]:
    """Return the figures of a run by request, the baseline first."""
    asked = dict(run["requests"])
    base = asked.pop(PAGE_BASELINE)
    paint = {PAGE_PAINT: run["first_paint"]}
    summaries = {name: asked.pop(name) for name in ("summary, finished", "summary, active")}
    return {PAGE_BASELINE: base} | paint | summaries | asked


def _page_goals(runs: list[Data]) -> str:
    by_items = {run["items"]: _page_figures(run) | run["browser"] for run in runs}
    rows = [
        [
            f"{items:,} items, {name}",
            f"{most:,} ms",
            f"{_figure(by_items[items][name]['p95_ms'])} ms",
            "yes" if by_items[items][name]["p95_ms"] <= most else "no",
        ]
        for items, name, most in _PAGE_GOALS
        if items in by_items
    ]
    return markdown(["goal", "at most", "95th percentile", "met"], rows)


def _page_costs(runs: list[Data]) -> str:
    def row(name: str, of: Callable[[Data], str]) -> list[str]:
        return [name, *(of(run) for run in runs)]

    rows = [
        row("a key looked up in the index alone, ms", lambda run: _figure(run["look_up_ms"])),
        row("a key found by reading all outcomes, ms", lambda run: _over(run, "scan_ms")),
        row("– from disk", lambda run: _over(run, "cold_scan_ms")),
        row("peak memory of the api-server, MiB", lambda run: _figure(run["peak_mb"])),
        row(
            "CPU seconds of the api-server for 100 summaries, active",
            lambda run: _figure(run["poll_cpu_s"]),
        ),
        row("`items/keys.db`, MiB", lambda run: _figure(run["keys_db"] / 2**20)),
        row("the run's workspace, MiB", lambda run: _figure(run["workspace"] / 2**20)),
    ]
    return markdown(["", *(f"{run['items']:,} items" for run in runs)], rows)


def _over(run: Data, name: str) -> str:
    return f"{_figure(run[name])} (×{run[name] / run['look_up_ms']:,.0f})"


def _page_index(lists: list[Data]) -> str:
    rows = [
        [
            f"{found['items']:,}",
            f"{_figure(found['plan_s'])} ({_figure(found['plan_cpu_s'])})",
            f"{_figure(found['index_s'])} ({_figure(found['index_cpu_s'])})",
            _figure(found["keys_db"] / 2**20),
            _figure(found["listed"] / 2**20),
            _figure(found["grown_mb"]),
        ]
        for found in lists
    ]
    header = ["items planned, in any order", "`plan`, s (CPU)", "of that the index, s (CPU)"]
    return markdown([*header, "`keys.db`, MiB", "the list, MiB", "more memory, MiB"], rows)


TABLES: dict[str, Callable[[Data], str]] = {
    "machine": machine,
    "goals": goals,
    "matrix": matrix,
    "not-run": not_run,
    "growth": growth,
    "in-flight": in_flight,
    "clients": clients,
    "mapped-tasks": mapped_tasks,
    "overhead": overhead,
    "model": model,
    "page-api": page_api,
}
"""Marker in docs/performance.md → what stands there."""
