"""Progress of running batches: their speed, and damaged files are skipped."""

from fanfold.messages import Message
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import (
    Cleaned,
    Progress,
    all_cleaned,
    all_progress,
    items_per_second,
    write_cleaned,
    write_progress,
)


def speed(*recent, now=1000.0):
    return items_per_second({0: Progress(0, 9, recent=recent)}, now)


def test_the_speed_is_that_of_the_last_ten_seconds_and_then_unknown():
    for start in (985.0, 1005.0):  # the clock of a worker may be ahead
        assert speed(*((start + second, 30) for second in range(16))) == 30.0
    assert speed((999.0, 50), (1000.0, 50)) == 100 / 3, "a run that has just begun is not slow"
    assert 0 < speed((995.0, 50)) < 10
    assert speed((989.0, 50)) == 0.0
    assert speed((900.0, 50)) is None
    assert speed() is None


def test_progress_is_read_back_and_damaged_files_are_skipped(tmp_path):
    workspace = Workspace(tmp_path)
    assert all_progress(workspace) == {} == all_cleaned(workspace)
    progress = Progress(
        7, 10, ok=3, recent=((1.5, 3),), reasons=({"a": 1},), waits_for=Message("x")
    )
    write_progress(workspace.batch(7), progress)
    write_cleaned(workspace.batch(7), Cleaned(7, 2, 1, ({"b": 2},)))
    workspace.batch(8).progress_file.write_text("{")
    workspace.batch(9).progress_file.write_text('{"batch": 9}')
    workspace.batch(10).progress_file.write_text("[1]")
    workspace.batch(9).progress_file.with_name(".tmp-00009.json").write_text("{}")
    workspace.batch(7).invalid_file.write_text("no JSON document")
    assert all_progress(workspace) == {7: progress}
    assert all_cleaned(workspace) == {7: Cleaned(7, 2, 1, ({"b": 2},))}
