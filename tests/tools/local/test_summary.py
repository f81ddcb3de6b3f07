import json

from fanfold.local.summary import log_file, log_lines, without_charts


def test_the_log_of_a_mapped_task_lies_where_airflow_puts_it(tmp_path):
    instance = {
        "dag_id": "d",
        "dag_run_id": "r",
        "task_id": "batch.fetch",
        "map_index": 3,
        "try_number": 2,
    }
    folder = tmp_path / "dag_id=d" / "run_id=r" / "task_id=batch.fetch"
    assert log_file(tmp_path, instance) == folder / "map_index=3" / "attempt=2.log"
    assert log_file(tmp_path, instance | {"map_index": -1}) == folder / "attempt=2.log"


def test_a_log_is_shown_as_people_read_it_with_the_error_and_its_text(tmp_path):
    events = [
        {"timestamp": "2026-01-01T10:00:00Z", "level": "info", "event": "two\nlines"},
        {
            "timestamp": "2026-01-01T10:00:01Z",
            "level": "error",
            "event": "Task failed",
            "error_detail": [{"exc_type": "BadInput", "exc_value": "the uid is wrong"}],
        },
    ]
    log = tmp_path / "attempt=1.log"
    log.write_text("\n".join([*map(json.dumps, events), "no json", "3"]))
    assert log_lines(log, 20) == [
        "10:00:00 info     two",
        "lines",
        "10:00:01 error    Task failed",
        "         BadInput: the uid is wrong",
        "no json",
        "3",
    ]
    assert log_lines(log, 1) == ["3"]


def test_a_missing_log_is_said_by_name(tmp_path):
    assert log_lines(tmp_path / "none.log", 5) == [f"There is no log: {tmp_path / 'none.log'}"]


def test_the_many_charts_take_one_line():
    keys = ["d/latest.json", "d/run=1/chart-a.png", "d/run=1/chart-a.svg", "d/run=1/users.parquet"]
    assert without_charts(keys) == [
        "d/latest.json",
        "d/run=1/users.parquet",
        "d/run=1/chart-* (2 pictures)",
    ]
    assert without_charts(["d/latest.json"]) == ["d/latest.json"]
