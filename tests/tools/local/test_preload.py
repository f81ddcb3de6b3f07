"""What Airflow's scheduler imports for the tasks that it forks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[3] / "config"
SCRIPT = """
import json, sys
sys.argv = ["airflow", *sys.argv[1:]]
import airflow_local_settings
print(json.dumps(sorted(sys.modules)))
"""
RUN = """
from fanfold import testing
from fanfold.loader import load_pipeline
before = set(sys.modules)
testing.run(load_pipeline("concurrent_sum").pipeline, ["1", "2-9"])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@pytest.fixture
def printed(tmp_path):
    """The lists of modules that a script prints as a component of Airflow."""

    def printed_by(component, script):
        environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(CONFIG)}
        command = [sys.executable, "-W", "ignore", "-c", script, component]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith('["')]
        return [set(json.loads(line)) for line in lines]

    return printed_by


def test_the_scheduler_has_the_engine_and_no_pipeline_and_stages_import_no_further_library(printed):
    """A pipeline that it had imported would run as old code in the tasks after an edit.

    A library that is missing would be imported again by each task, in its own process.
    """
    found, later = printed("scheduler", SCRIPT + RUN)
    assert {"duckdb", "pandera.pandas", "fanfold.airflow.tasks", "fanfold.stages.planning"} < found
    assert not {name for name in found if name.split(".")[0] == "pipelines"}
    # Attempts of pandera, for libraries that are not installed.
    later = {name for name in later if not name.startswith("pandera.typing.")}
    assert {name.split(".")[0] for name in later} <= {"pipelines", "encodings", "multiprocessing"}


def test_other_components_import_nothing(printed):
    (found,) = printed("dag-processor", SCRIPT)
    assert not {"pandas", "fanfold"} & found
