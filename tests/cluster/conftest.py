"""A cluster of docker-compose.yaml, started once for all tests, with a simulated API that fails.

It is asked for (``make cluster-test`` sets FANFOLD_CLUSTER): it takes 25 minutes, Docker,
debootstrap and root.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fanfold.cluster import environment, rolling, runs
from fanfold.cluster.compose import Compose, find_compose
from fanfold.errors import BadConfiguration

sys.path.insert(0, str(Path(__file__).parent))

import driver

import standins

ROOT = Path(__file__).parents[2]
ASKED = bool(os.environ.get("FANFOLD_CLUSTER"))


def pytest_collection_modifyitems(items):
    if ASKED:
        return
    here = Path(__file__).parent
    skip = pytest.mark.skip(reason="the cluster is asked for with `make cluster-test`")
    for item in items:
        if here in item.path.parents:
            item.add_marker(skip)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers():
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def docker():
    """A Docker engine: the machine's, or one of ours that ends with the tests."""
    try:
        find_compose()
    except BadConfiguration as error:
        pytest.fail(str(error))
    if _answers():
        yield
        return
    if shutil.which("dockerd") is None:
        pytest.fail("There is no Docker engine. Debian: apt-get install docker.io docker-compose")
    with tempfile.TemporaryFile() as log:
        engine = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
        try:
            driver.eventually(_answers, within=60, what="an answer of dockerd")
            yield
        finally:
            engine.terminate()
            engine.wait(timeout=60)


@pytest.fixture(scope="session")
def images(docker):  # noqa: ARG001 - the engine first
    """The images that a user would pull, and ours."""
    began = time.monotonic()
    standins.main()
    print(f"\nstand-ins: {time.monotonic() - began:.0f} s")


@pytest.fixture(scope="session")
def compose(images, tmp_path_factory):  # noqa: ARG001 - the images first
    """The cluster of a project of its own, on a free port; everything of it is removed afterwards."""
    port = _free_port()
    env_file = tmp_path_factory.mktemp("cluster") / "env"
    environment.ensure(
        env_file,
        {
            "COMPOSE_PROJECT_NAME": "fanfold-test",
            "FANFOLD_PORT": str(port),
            "FANFOLD_URL": f"http://localhost:{port}",
            # Two cores hold all of it: fewer slots, and the default resource limits of a machine.
            "WORKER_SLOTS": "3",
            # Half a minute's wait for a quota is worth a deferral here.
            "FANFOLD_DEFER_AFTER": "5",
            "COMPOSE_PROFILES": "tryout,metrics",
            "FANFOLD_METRICS": "True",
        },
    )
    made = Compose(ROOT, env_file)
    made.run("down", "--volumes", "--remove-orphans")
    yield made
    made.run("down", "--volumes", "--remove-orphans", "--timeout", "20")


@pytest.fixture(scope="session")
def cluster(compose, request):
    """The cluster, up and well."""
    began = time.monotonic()
    compose.run("build", "airflow-init", "simulator", quiet=False)
    print(f"images: {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    compose.run("up", "--detach", "--no-build")
    rolling.wait_until_well(compose)
    print(f"up and well: {time.monotonic() - began:.0f} s")
    made = driver.Cluster(compose, runs.airflow(compose))
    yield made
    if request.session.testsfailed:
        print(compose.run("logs", "--tail", "60", "--no-color"))


@pytest.fixture(scope="session")
def undisturbed(cluster):
    """A run that nothing happened to: its id, its rows, its seconds."""
    run_id = cluster.started_in_the_middle()
    seconds = cluster.wait(run_id)
    return run_id, cluster.rows(run_id), seconds


@pytest.fixture(scope="session")
def recoveries(request):
    """Takes (what, seconds until it is back, seconds of the run); prints the table at the end."""
    rows = []
    yield rows
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\n| what was killed | back after, s | the run took, s |\n| --- | --: | --: |")
        for what, back, seconds in rows:
            print(f"| {what} | {back:.1f} | {seconds:.1f} |")
