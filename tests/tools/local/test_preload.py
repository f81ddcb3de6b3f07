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
def modules(tmp_path):
    """The modules that a component of Airflow imports; or those that a run in it imports later."""

    def imported_by(*command, script=SCRIPT):
        environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(CONFIG)}
        command = [sys.executable, "-W", "ignore", "-c", script, *command]
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        return set(json.loads(done.stdout.splitlines()[-1]))

    return imported_by


def test_the_scheduler_has_the_engine_and_no_pipeline(modules):
    """A pipeline that it had imported would run as old code in the tasks after an edit."""
    found = modules("scheduler")
    assert {"duckdb", "pandera.pandas", "fanfold.airflow.tasks", "fanfold.stages.planning"} < found
    assert not {name for name in found if name.split(".")[0] == "pipelines"}


def test_the_stages_import_no_further_library(modules):
    """Each task would import it again, in its own process."""
    found = modules("scheduler", script=SCRIPT + RUN)
    # Attempts of pandera, for libraries that are not installed.
    found = {name for name in found if not name.startswith("pandera.typing.")}
    assert {name.split(".")[0] for name in found} <= {"pipelines", "encodings", "multiprocessing"}


def test_other_components_import_nothing(modules):
    assert not {"pandas", "fanfold"} & modules("dag-processor")
