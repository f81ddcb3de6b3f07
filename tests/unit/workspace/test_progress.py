"""Progress of running batches: their speed, and damaged files are skipped."""

from fanfold.messages import Message
from fanfold.model import Counts
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import (
    Closed,
    Progress,
    all_closed,
    all_progress,
    items_per_second,
    write_closed,
    write_progress,
)


def speed(*recent, now=1000.0):
    return items_per_second({0: Progress(0, 9, recent=recent)}, now)


def test_the_speed_is_that_of_the_last_ten_seconds_and_falls_to_zero_and_unknown():
    assert speed(*((985.0 + second, 30) for second in range(16))) == 30.0
    assert speed((999.0, 50), (1000.0, 50)) == 100 / 3, "just begun"
    assert 0 < speed((995.0, 50)) < 10
    assert speed((989.0, 50)) == 0.0
    assert speed((900.0, 50)) is speed() is None
    assert speed(*((1005.0 + second, 10) for second in range(16))) == 10.0, "a clock ahead"


def test_progress_is_read_back_and_damaged_files_are_skipped(tmp_path):
    workspace = Workspace(tmp_path)
    assert all_progress(workspace) == {} == all_closed(workspace)
    progress = Progress(
        7, 10, ok=3, recent=((1.5, 3),), reasons=({"a": 1},), waits_for=Message("x")
    )
    write_progress(workspace.batch(7), progress)
    closed = Closed(7, Counts(3, 2, 1), 4, rows=5, rejected=1, reasons=({"b": 2},), parts=("x",))
    write_closed(workspace.batch(7), closed)
    workspace.batch(8).progress_file.write_text("{")
    workspace.batch(9).progress_file.write_text('{"batch": 9}')
    workspace.batch(10).progress_file.write_text("[1]")
    workspace.batch(9).progress_file.with_name(".tmp-00009.json").write_text("{}")
    workspace.batch(7).failed_file.write_text("no JSON document")
    assert all_progress(workspace) == {7: progress}
    assert all_closed(workspace) == {7: closed}
