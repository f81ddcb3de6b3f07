"""A rejected token stops the other batches of its run, for a minute and for that token only."""

from __future__ import annotations

import os
import time

import pytest

from fanfold.errors import CredentialRefused
from fanfold.messages import Message
from fanfold.workspace.paths import Workspace
from fanfold.workspace.stop import VALID_FOR, check_stop, read_stop, token_digest, write_stop


def test_batches_with_the_rejected_token_stop_for_a_minute(tmp_path):
    workspace, digest = Workspace(tmp_path), token_digest("old", "run")
    check_stop(workspace, digest)
    write_stop(workspace, Message("Weibo 21327: rejected", "weibo.token", {"code": 21327}), digest)
    with pytest.raises(CredentialRefused, match="21327"):
        check_stop(workspace, digest)
    past = time.time() - VALID_FOR - 1
    os.utime(workspace.stop, (past, past))
    check_stop(workspace, digest)


@pytest.mark.parametrize("other", [("new", "run", 0), ("old", "run", 1)])
def test_a_new_token_or_a_cleared_task_asks_again_and_the_old_reason_is_gone(tmp_path, other):
    workspace = Workspace(tmp_path)
    write_stop(workspace, Message("rejected"), token_digest("old", "run", 0))
    assert read_stop(workspace.stop) == Message("rejected")
    check_stop(workspace, token_digest(*other))
    assert read_stop(workspace.stop) is None
