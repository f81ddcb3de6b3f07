"""Reading and planning a list takes the same memory, however long it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURE = """
import re, sys
from pathlib import Path
from pandera.pandas import DataFrameSchema
from fanfold import Api, Pipeline
from fanfold.stages.planning import write_plan
from fanfold.readers import from_file, write_items
from fanfold.workspace.paths import Workspace
path = Path(sys.argv[1])
workspace = Workspace(path.parent / "run")
with path.open("rb") as file:
    write_items(workspace, from_file(file, "user_id", name=path.name), str)
pipeline = Pipeline(
    name="users", noun="user", source=Api(path="/"), contract=DataFrameSchema(), key=("id",)
)
made = write_plan(
    workspace, pipeline, wanted_size=None, logical_date="", started_at="2026-01-01T00:00:00Z"
)
# ru_maxrss would include the peak of the parent process.
print(made.items, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def kibibytes(path, items):
    lines = (f"{10**9 + n * 7919},city" for n in range(items))
    path.write_text("\n".join(["user_id,city", *lines, ""]))
    command = [sys.executable, "-c", MEASURE, str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    planned, peak = done.stdout.split()
    assert int(planned) == items
    return int(peak)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_list_ten_times_as_long_is_read_and_planned_in_the_same_memory(tmp_path):
    short = kibibytes(tmp_path / "short.csv", 40_000)
    long = kibibytes(tmp_path / "long.csv", 400_000)
    # A Python object an item would be 30 MB.
    assert long - short < 4 * 1024
