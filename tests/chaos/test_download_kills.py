"""A download that is killed at any point goes on, and the bytes are the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.downloads import SMALL, Downloads
from fanfold.storage.locations import Locations
from fanfold.workspace.files import write_jsonl
from fanfold.workspace.paths import Workspace


def fetch(root, folder):
    batch = Workspace(Path(root)).batch(0)
    with Locations([f"file://{folder}/"], lambda: None) as locations:
        start = partial(Downloads, locations, SMALL * 10, batch)
        return fetch_batch(batch, start, version="0000000a")


def killed_at_each_point(root, folder):
    """Fetch in forked processes, the N-th killed at its N-th point, until one ends by itself."""
    from kill_points import KillPoints

    for number in range(1, 1000):
        child = os.fork()
        if not child:
            KillPoints(number, lambda _: None).install()
            fetch(f"{root}/{number}", folder)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            sys.stdout.write(str(number - 1))
            return


def content(each):
    with each.path.open("rb") as file:
        file.seek(each.offset)
        return file.read(each.bytes)


def test_a_download_killed_at_any_point_goes_on_and_gives_the_same_bytes(tmp_path):
    folder = tmp_path / "drops"
    folder.mkdir()
    contents = {"a.csv": b"1", "b.csv": b"", "large.bin": bytes(range(256)) * (SMALL // 128)}
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    uris = [f"file://{folder}/{name}" for name in contents]
    for number in range(200):
        write_jsonl(Workspace(tmp_path / str(number)).batch(0).items_file, uris)
    runner = subprocess.run(
        [sys.executable, __file__, str(tmp_path), str(folder)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    points = json.loads(runner.stdout)
    assert 20 < points < 200
    for number in range(1, points + 1):
        root = tmp_path / str(number)
        fetch(root, folder)
        batch = Workspace(root).batch(0)
        assert [content(each) for each in batch.fetched_files()] == list(contents.values())
        left = [path.name for path in (root / "raw" / "00000").glob(".tmp-*.blob")]
        assert left == []


if __name__ == "__main__":
    killed_at_each_point(*sys.argv[1:])
