import os
from dataclasses import replace

import pytest

from fanfold.local.state import Identity, Phase, State, read


@pytest.fixture
def state():
    mine = Identity.mine()
    return State(mine, mine, Phase.READY, airflow="http://127.0.0.1:1", processes={"s3": mine})


def test_a_state_that_was_written_is_read_back(state, tmp_path):
    path = tmp_path / "state.json"
    for each in (state, replace(state, owner=None, phase=Phase.FAILED, message="why")):
        each.write(path)
        assert read(path) == each


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"owner": 1}', '{"phase": "?"}'])
def test_a_state_that_cannot_be_understood_counts_as_none(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    assert read(tmp_path / "state.json") is None


def test_no_state_counts_as_none(tmp_path):
    assert read(tmp_path / "state.json") is None


def test_a_reused_process_number_is_not_mistaken(state):
    """The machine was rebooted, or the number was given to another process."""
    assert state.lives
    stale = replace(state, supervisor=Identity(os.getpid(), "another boot/1"))
    assert not stale.lives


def test_a_process_that_was_gone_from_the_start_never_lives():
    assert not Identity.of(2**22 + 1).lives
