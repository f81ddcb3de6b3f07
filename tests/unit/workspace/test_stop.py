"""A rejected token stops the other batches of its run, for a minute and for that token only."""

from __future__ import annotations

import os
import time

import pytest

from fanfold.errors import CredentialRefused
from fanfold.messages import Message
from fanfold.workspace.paths import Workspace
from fanfold.workspace.stop import VALID_FOR, check_stop, token_digest, write_stop


def test_a_batch_with_the_same_token_stops(tmp_path):
    write_stop(
        Workspace(tmp_path),
        Message("Weibo 21327: rejected", "weibo.token", {"code": 21327}),
        "digest",
    )
    with pytest.raises(CredentialRefused, match="21327"):
        check_stop(Workspace(tmp_path), "digest")


def test_a_new_token_is_tried_and_the_same_one_after_a_minute(tmp_path):
    workspace = Workspace(tmp_path)
    check_stop(workspace, "digest")  # without a stop file
    old = token_digest("old", "run")
    write_stop(workspace, Message("rejected"), old)
    check_stop(workspace, token_digest("new", "run"))
    past = time.time() - VALID_FOR - 1
    os.utime(workspace.stop, (past, past))
    check_stop(workspace, old)
