"""Start, scale and upgrade the cluster while runs continue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.cluster.compose import CommandFailed, docker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fanfold.cluster.compose import Compose

START_TIMEOUT = 300
"""Seconds until started containers must be healthy."""
INSTALLATION = "airflow-init"
SINGLE = ("airflow-apiserver", "airflow-dag-processor", "airflow-triggerer")
SEVERAL = ("airflow-scheduler", "airflow-worker")


def is_healthy(container: Mapping[str, object]) -> bool:
    """Whether a container (of ``Compose.containers``) is healthy, or has completed its job."""
    if container["Service"] == INSTALLATION and container["State"] == "exited":
        return container["ExitCode"] == 0
    return container["State"] == "running" and container["Health"] in {"", "healthy"}


def start(compose: Compose, *arguments: str, service: str | None = None) -> None:
    """Run ``docker compose up`` and wait until the containers are healthy.

    With ``service``, only that service is started, without its dependencies.

    Raises:
        CommandFailed: A container is not healthy in time.
    """
    wait = ("--wait", "--wait-timeout", str(START_TIMEOUT))
    only = [] if service is None else ["--no-deps", service]
    compose.run("up", "--detach", "--no-build", *wait, *arguments, *only, stdout=None)
    # Compose 2.26 may exit with 0 when --wait-timeout is over.
    late = [each["Name"] for each in compose.containers(*only[1:]) if not is_healthy(each)]
    if late:
        raise CommandFailed(f"Not healthy after {START_TIMEOUT} s: {', '.join(late)}")


def scale(compose: Compose, service: str, count: int) -> None:
    """Set the number of containers of a service; surplus ones are stopped with their grace period.

    Raises:
        CommandFailed: New containers are not healthy in time.
    """
    start(compose, "--no-recreate", "--scale", f"{service}={count}", service=service)


def upgrade(compose: Compose, report: Callable[[str], None] = lambda _: None) -> None:
    """Roll out the image that FANFOLD_VERSION names, one service after the other.

    The database is migrated first. New schedulers and workers are healthy before the old ones are
    stopped; a worker's tasks run for up to FANFOLD_DRAIN_SECONDS more, then are retried elsewhere.

    Raises:
        CommandFailed: A new container is not healthy in time; the old ones keep running.
    """
    report("database migration")
    compose.run("run", "--rm", "--no-deps", "--no-TTY", INSTALLATION)
    for service in SINGLE:
        report(service)
        start(compose, service=service)
    for service in SEVERAL:
        report(service)
        old = [each["ID"] for each in compose.containers(service)]
        scale(compose, service, 2 * len(old))
        # One at a time, so that the others can take over its tasks.
        for container in old:
            docker("stop", container)
            docker("rm", container)
