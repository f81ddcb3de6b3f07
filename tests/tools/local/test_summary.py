from fanfold.local.summary import log_lines


def test_a_log_is_shown_with_times_levels_and_errors():
    events = [
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
