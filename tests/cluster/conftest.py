"""The cluster of docker-compose.yaml, started once for all tests, with a simulated API that fails.

Only ``make cluster-test`` collects these tests: they need Docker, mmdebstrap and root.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fanfold.cluster import environment, rolling
from fanfold.cluster.compose import Compose, require_compose

sys.path.insert(0, str(Path(__file__).parent))

import driver
import images

ROOT = Path(__file__).parents[2]

if not os.environ.get("FANFOLD_CLUSTER"):
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config):
    config.addinivalue_line("markers", "quick: the part of the cluster's tests that CI runs")


@pytest.fixture(scope="session")
def engine():
    """Docker: the running one, or one that is stopped after the tests."""
    require_compose()
    if images.succeeds("info"):
        yield
        return
    with tempfile.TemporaryFile() as log:
        engine = subprocess.Popen(["dockerd"], stdout=log, stderr=log, start_new_session=True)
        try:
            driver.eventually(lambda: images.succeeds("info"), within=60, what="Docker answers")
            yield
        finally:
            engine.terminate()
            engine.wait(timeout=60)


@pytest.fixture(scope="session")
def compose(engine, request, tmp_path_factory):  # noqa: ARG001 - Docker first
    """The built cluster, not started; its containers and volumes are removed after the tests."""
    quick = request.config.getoption("markexpr") == "quick"
    port = driver.free_port()
    env_file = tmp_path_factory.mktemp("cluster") / "env"
    environment.ensure(
        env_file,
        {
            "COMPOSE_PROJECT_NAME": "fanfold-test",
            "FANFOLD_VERSION": "test",
            "FANFOLD_PORT": str(port),
            "FANFOLD_URL": f"http://localhost:{port}",
            # For two cores.
            "WORKER_SLOTS": "3",
            # A fetch that waits half a minute for its quota is deferred.
            "FANFOLD_DEFER_AFTER": "5",
            "COMPOSE_PROFILES": "tryout" if quick else "tryout,metrics",
            "FANFOLD_METRICS": str(not quick),
        },
    )
    images.build(env_file)
    made = Compose(ROOT, env_file)
    remove = ("down", "--volumes", "--remove-orphans", "--timeout", "20")
    made.run(*remove)
    yield made
    made.run(*remove)


@pytest.fixture(scope="session")
def cluster(compose, request):
    """The cluster, with all containers healthy."""
    with images.timed("start"):
        rolling.start(compose)
    yield driver.Cluster(compose)
    if request.session.testsfailed:
        print(compose.run("logs", "--tail", "60", "--no-color"))


@pytest.fixture(scope="session")
def undisturbed(cluster):
    """The id and the rows of a run during which nothing was killed."""
    run_id = cluster.start_and_reach_the_middle()
    with images.timed("undisturbed run, from its middle"):
        cluster.wait(run_id)
    return run_id, cluster.rows(run_id)


@pytest.fixture(scope="session")
def recoveries(request):
    """Takes (what, seconds until recovery, seconds of the run); prints the table at the end."""
    rows = []
    yield rows
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\n| what was killed | recovered after, s | run, s |\n| --- | --: | --: |")
        for what, recovered, seconds in rows:
            print(f"| {what} | {recovered:.1f} | {seconds:.1f} |")
