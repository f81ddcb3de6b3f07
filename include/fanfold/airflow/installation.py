"""``python -m fanfold.airflow.installation``: make a cluster's database fit to be used.

Migrates it, makes the admin account and the connections that the cluster itself serves. To be run
once before the other components, and again with each upgrade; what people have changed since in
Airflow's UI stays as it is, but for the admin's password: that is always the one of
``AIRFLOW_ADMIN_PASSWORD``, so that nobody is locked out.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fanfold.airflow.connections import AWS, WAREHOUSE, source_connection
from fanfold.errors import BadConfiguration, FanfoldError

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

ADMIN = "admin"
TRYOUT = "tryout"
"""The profile of docker-compose.yaml with the simulator and its S3 server."""
SIMULATED = ("weibo", "mastodon")


def required(environment: Mapping[str, str], name: str) -> str:
    """Return a variable that must be set.

    Raises:
        BadConfiguration: It is not.
    """
    value = environment.get(name, "")
    if not value:
        raise BadConfiguration(f"{name} is not set; `make cluster-up` writes it to .env.")
    return value


def connections(environment: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Return what Airflow's connections are made of, by id.

    Raises:
        BadConfiguration: A variable is missing.
    """
    warehouse = urlsplit(required(environment, "WAREHOUSE_URL"))
    made: dict[str, dict[str, object]] = {
        WAREHOUSE: {
            "conn_type": "postgres",
            "host": warehouse.hostname,
            "port": warehouse.port,
            "login": warehouse.username,
            "password": warehouse.password,
            "schema": warehouse.path.removeprefix("/"),
        }
    }
    if TRYOUT not in environment.get("FANFOLD_PROFILES", "").split(","):
        return made
    token = required(environment, "SOURCE_TOKEN")
    for source in SIMULATED:
        made[source_connection(source)] = {
            "conn_type": "http",
            "host": "http://simulator:8000",
            "password": token,
        }
    made[AWS] = {
        "conn_type": "aws",
        "login": required(environment, "S3_ACCESS_KEY"),
        "password": required(environment, "S3_SECRET_KEY"),
        "extra": json.dumps(
            {
                "endpoint_url": "http://s3:9000",
                "region_name": "us-east-1",
                "config_kwargs": {"signature_version": "s3v4"},
            }
        ),
    }
    return made


def migrate() -> None:
    """Bring the metadata database to the installed version of Airflow; make it where it is empty."""
    from airflow.utils.db import upgradedb

    upgradedb()


def ensure_connections(wanted: Mapping[str, dict[str, object]]) -> list[str]:
    """Make the connections that are not there; return their ids."""
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        there = set(session.scalars(select(Connection.conn_id)))
        missing = [name for name in wanted if name not in there]
        for name in missing:
            session.add(Connection(conn_id=name, **wanted[name]))  # type: ignore[arg-type]
    return missing


def ensure_admin(password: str) -> None:
    """Make Airflow's roles, and the admin's account with this password."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        user = manager.find_user(username=ADMIN)
        if user is None:
            role = manager.find_role("Admin")
            if not manager.add_user(ADMIN, "Fanfold", "Admin", "admin@localhost", role, password):
                raise BadConfiguration(f"The account {ADMIN!r} cannot be made; see the log above.")
        else:
            manager.reset_password(user.id, password)


def main() -> int:
    """Install; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        wanted = connections(os.environ)
        password = required(os.environ, "AIRFLOW_ADMIN_PASSWORD")
        migrate()
        made = ensure_connections(wanted)
        ensure_admin(password)
    except FanfoldError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    log.info("The database is up to date; connections made: %s.", ", ".join(made) or "none")
    return 0


if __name__ == "__main__":
    sys.exit(main())
