from types import SimpleNamespace

from fanfold.local.home import Home
from fanfold.local.summary import log_lines, summary
from fanfold.model import Basis, Counts, Forecast, Manifest, Plan, RunStatus
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
