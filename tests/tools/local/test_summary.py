from types import SimpleNamespace

from fanfold.local.home import Home
from fanfold.local.summary import log_lines, summary
from fanfold.model import Basis, Counts, FileEntry, Forecast, Manifest, Plan, RunStatus
from fanfold.workspace.files import write_json
from fanfold.workspace.paths import Workspace


def test_a_log_is_shown_with_times_levels_and_errors():
    events = [
        {"timestamp": "2026-01-01T10:00:00Z", "level": "info", "event": "::group::Pre Execute"},
        {"timestamp": "2026-01-01T10:00:00Z", "level": "info", "event": "two\nlines"},
        {
            "timestamp": "2026-01-01T10:00:01Z",
            "level": "error",
            "event": "Task failed",
            "error_detail": [{"exc_type": "BadInput", "exc_value": "the uid is wrong"}],
        },
        {"timestamp": None, "event": "no time"},
    ]
    assert log_lines(events) == [
        "10:00:00 info     two",
        "lines",
        "10:00:01 error    Task failed",
        "         BadInput: the uid is wrong",
        "          no time",
    ]


def test_a_merge_without_new_items_says_so_and_names_no_results(tmp_path):
    stack = SimpleNamespace(home=Home(tmp_path))
    workspace = Workspace.of_run(stack.home.shared, "sales", "run")
    at = "2026-03-01T06:00:00.000Z"
    plan = Plan("sales", 0, 0, (), at, at, Forecast(0, None, Basis.UNKNOWN), mode="merge")
    manifest = Manifest("sales", "run", at, RunStatus.EMPTY, Counts(), (), 0, at, at, mode="merge")
    for path, found in ((workspace.plan, plan), (workspace.manifest, manifest)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found.as_json())
    assert summary(stack, "sales", "run", seconds=3.21).splitlines() == [
        "",
        "sales: nothing new, in 3.2 s",
        "  The published dataset and the tables stay as they are.",
        "  The log of read_items has the number of files that were found.",
    ]


def test_a_partial_run_says_why_and_counts_have_singular_and_plural(tmp_path):
    stack = SimpleNamespace(
        home=Home(tmp_path), bucket="mine", uses_own=lambda _: True, url="http://127.0.0.1:8080"
    )
    workspace = Workspace.of_run(stack.home.shared, "sales", "run")
    at = "2026-03-01T06:00:00.000Z"
    plan = Plan("sales", 4, 0, (0,), at, at, Forecast(4, None, Basis.UNKNOWN))
    counts = Counts(planned=4, ok=1, invalid=1, failed=2)
    files = (
        FileEntry("sales.csv.gz", "csv.gz", 1, 100, "", "sales"),
        FileEntry("failed.jsonl", "jsonl", 3, 100, ""),
    )
    manifest = Manifest(
        "sales", "run", at, RunStatus.PARTIAL, counts, files, 1, at, at, rows=1, rejected=1
    )
    for path, found in ((workspace.plan, plan), (workspace.manifest, manifest)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found.as_json())
    lines = summary(stack, "sales", "run", seconds=3.21).splitlines()
    assert lines[1] == "sales: partial in 3.2 s: 2 failed, 1 invalid, 1 rejected row"
    assert lines[2] == "  item       4 planned: 1 ok, 0 missing, 1 invalid, 2 failed (1 request)"
    assert [" ".join(line.split()) for line in lines[-2:]] == [
        "sales.csv.gz 1 row 0.1 KiB",
        "failed.jsonl 3 rows 0.1 KiB",
    ]
