"""A refused token stops the other batches of its run, for a minute and for that token only."""

from __future__ import annotations

import os
import time

import pytest

from fanfold.errors import CredentialRefused
from fanfold.workspace.paths import Workspace

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def fetch(airflow_home):
    assert airflow_home.is_dir()
    from fanfold.airflow import fetch

    return fetch


def test_a_batch_of_the_same_token_ends_without_asking(fetch, tmp_path):
    fetch._stop(Workspace(tmp_path), "Weibo 21327: refused", "mark")
    with pytest.raises(CredentialRefused, match="21327"):
        fetch._heed_stop(Workspace(tmp_path), "mark")


def test_a_new_token_is_tried(fetch, tmp_path):
    fetch._stop(Workspace(tmp_path), "refused", "mark")
    fetch._heed_stop(Workspace(tmp_path), "another")


def test_after_a_minute_the_same_token_is_tried_again(fetch, tmp_path):
    workspace = Workspace(tmp_path)
    fetch._stop(workspace, "refused", "mark")
    past = time.time() - fetch.HEED_STOP - 1
    os.utime(workspace.stop, (past, past))
    fetch._heed_stop(workspace, "mark")


def test_without_a_refusal_nothing_stops(fetch, tmp_path):
    fetch._heed_stop(Workspace(tmp_path), "mark")
