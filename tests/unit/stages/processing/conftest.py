"""Batches whose files are downloaded."""

from __future__ import annotations

import pytest

from fanfold.model import Outcome, Status
from fanfold.workspace.files import write_jsonl
from fanfold.workspace.paths import Workspace


@pytest.fixture
def downloaded(tmp_path):
    """Return a function that returns a batch of files, from their content by name."""

    def write(files, number=0):
        batch = Workspace(tmp_path).batch(number)
        keys = [f"file:///{name}" for name in files]
        write_jsonl(batch.items_file, keys)
        blob = batch.new_blob()
        offset, part = 0, []
        for key, content in zip(keys, files.values(), strict=True):
            place = {"offset": offset, "bytes": len(content), "etag": "", "modified": ""}
            part.append((Outcome(key, Status.OK), [place]))
            offset += len(content)
        blob.write_bytes(b"".join(files.values()))
        batch.write_part(1, part, "", blob)
        return batch

    return write
