"""More workers, fewer workers, and another image, while runs go on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fanfold.errors import SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.cluster.compose import Compose, Container

PATIENCE = 300.0
"""Seconds for something that was started to be well."""
GRACE = 150
"""Seconds for something that is told to stop: stop_grace_period of a worker."""
INSTALLATION = "airflow-init"
SINGLE = ("airflow-apiserver", "airflow-dag-processor", "airflow-triggerer")
SEVERAL = ("airflow-scheduler", "airflow-worker")


def done(container: Container) -> bool:
    """Whether it is the installation, which ends when it is done."""
    ended = container.state == "exited" and container.exit_code == 0
    return container.service == INSTALLATION and ended


def wait_until_well(
    compose: Compose,
    *services: str,
    choose: Callable[[Container], bool] = lambda _: True,
    patience: float = PATIENCE,
) -> None:
    """Return when every container of these services (all) that is chosen is well.

    Raises:
        SinkUnavailable: One is not in time, or there is none; the message names it.
    """
    until = time.monotonic() + patience
    while True:
        found = [each for each in compose.containers(*services) if choose(each)]
        ill = [each for each in found if not each.well and not done(each)]
        if found and not ill:
            return
        if time.monotonic() > until:
            told = ", ".join(f"{each.name} is {each.health or each.state}" for each in ill)
            raise SinkUnavailable(
                f"After {patience:g} s, {told or 'nothing runs'}. See `make cluster-logs`."
            )
        time.sleep(0.5)


def scale(compose: Compose, service: str, count: int, *, wait: bool = True) -> None:
    """Run so many containers of a service; those that are too many are stopped in order.

    Raises:
        Refused: Compose refuses.
        SinkUnavailable: They are not well in time.
    """
    compose.run(
        *("up", "--detach", "--no-deps", "--no-recreate", "--no-build"),
        *("--timeout", str(GRACE), "--scale", f"{service}={count}", service),
    )
    if wait:
        wait_until_well(compose, service)


def upgrade(compose: Compose, say: Callable[[str], None] = lambda _: None) -> None:
    """Put the image that the settings name under each component, one after the other.

    The database is migrated first. Of schedulers and workers, new ones are there before old ones are
    told to stop; a worker lets its tasks go on for FANFOLD_DRAIN_SECONDS, and what is left is
    repeated on a new one.

    Raises:
        Refused: Compose refuses.
        SinkUnavailable: A new container is not well in time; the old ones run on.
    """
    say("migrating the database")
    compose.run("run", "--rm", "--no-deps", "-T", INSTALLATION)
    for service in SINGLE:
        say(service)
        compose.run("up", "--detach", "--no-deps", "--no-build", service)
        wait_until_well(compose, service)
    for service in SEVERAL:
        say(service)
        replace(compose, service)


def replace(compose: Compose, service: str) -> None:
    """Start as many new containers of a service as there are, then stop the old ones.

    Raises:
        Refused: Docker or Compose refuses.
        SinkUnavailable: The new ones are not well in time.
    """
    old = compose.containers(service)
    scale(compose, service, 2 * len(old))
    # One after the other: the others take what it gives back.
    for each in old:
        compose.docker("stop", "-t", str(GRACE), each.id)
        compose.docker("rm", each.id)
