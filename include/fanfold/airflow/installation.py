"""``python -m fanfold.airflow.installation``: set up the Airflow database of a cluster.

Migrates the database and creates the admin account, the connections of the cluster's own services, and
the pools of the pipelines. Run it before the other components, on installation and on each upgrade.
Existing connections, pools and accounts are kept; the admin's password is always set to
``AIRFLOW_ADMIN_PASSWORD``.

The local mode writes its connections and pools in the same way (:func:`ensure_connections`,
:func:`ensure_pools`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fanfold.airflow.connections import AWS, WAREHOUSE
from fanfold.errors import BadConfiguration, FanfoldError
from fanfold.simulator import sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.models import Connection

log = logging.getLogger(__name__)

ADMIN = "admin"
TRYOUT = "tryout"
"""The profile of docker-compose.yaml with the simulator and its S3 server."""
POOLS = ("function_default", "mastodon_default", "tushare_default", "weibo_default")
"""The pools that the DAG files name: those of their connections."""
_SLOTS = 32
"""Airflow's default for all tasks of a scheduler: a pool limits nothing until it is edited."""
SAMPLE = "Sample: a server of this installation; updated at each start until it is edited"
"""How the descriptions of the connections begin that this program writes."""


def required(environment: Mapping[str, str], name: str) -> str:
    """Return a required environment variable.

    Raises:
        BadConfiguration: It is not set.
    """
    value = environment.get(name, "")
    if not value:
        raise BadConfiguration(f"{name} is not set; `make cluster-up` writes it to .env.")
    return value


def connections(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the fields of the connections to create, by connection id; ``extra`` as an object.

    Raises:
        BadConfiguration: A variable is missing.
    """
    warehouse = urlsplit(required(environment, "WAREHOUSE_URL"))
    made: dict[str, dict[str, Any]] = {
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
    made |= sample.connections("http://simulator:8000", required(environment, "SOURCE_TOKEN"))
    made[AWS] = {
        "conn_type": "aws",
        "login": required(environment, "S3_ACCESS_KEY"),
        "password": required(environment, "S3_SECRET_KEY"),
        "extra": {"endpoint_url": "http://s3:9000", "region_name": "us-east-1"},
    }
    return made


def migrate() -> None:
    """Migrate the metadata database to the installed version of Airflow."""
    from airflow.utils.db import upgradedb

    upgradedb()


def ensure_connections(wanted: Mapping[str, dict[str, Any]]) -> list[str]:
    """Write the connections of Fanfold's own servers; return the ids of those written.

    A connection that a person created or edited is kept. One that was written here before and was
    not edited since is replaced, or deleted if it is no longer wanted.

    Args:
        wanted: Fields by connection id; ``extra`` as an object.
    """
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        kept = set()
        for row in session.scalars(select(Connection)):
            if _is_unedited(row):
                session.delete(row)
            else:
                kept.add(row.conn_id)
        session.flush()
        missing = [name for name in wanted if name not in kept]
        for name in missing:
            row = Connection(conn_id=name, **{**wanted[name], "extra": None})
            row.extra = json.dumps(wanted[name]["extra"]) if "extra" in wanted[name] else None
            row.description = f"{SAMPLE} {_mark(row)}"
            session.add(row)
    return missing


def ensure_pools() -> list[str]:
    """Create the pools of the shipped pipelines that are missing; return their names."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        present = set(session.scalars(select(Pool.pool)))
        missing = [name for name in POOLS if name not in present]
        text = "Fetch tasks that use the connection {} concurrently"
        session.add_all(
            Pool(pool=name, slots=_SLOTS, description=text.format(name), include_deferred=False)
            for name in missing
        )
    return missing


def _is_unedited(row: Connection) -> bool:
    """Whether a connection is as :func:`ensure_connections` wrote it."""
    from cryptography.fernet import InvalidToken

    try:
        return (row.description or "").endswith(_mark(row))
    except (InvalidToken, ValueError):  # encrypted with another key, or extra is not JSON
        return False


def _mark(row: Connection) -> str:
    """Return a digest of the fields of a connection, which shows whether they were edited.

    The password is one of them, so it has to be random, not one that can be guessed.
    """
    text = (row.conn_type, row.host, row.port, row.login, row.password, row.schema)
    fields = [each or None for each in text] + [json.loads(row.extra or "{}")]
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    return f"[{digest[:16]}]"


def ensure_admin(password: str) -> None:
    """Create Airflow's roles and the admin account, and set its password."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        user = manager.find_user(username=ADMIN)
        if user is None:
            role = manager.find_role("Admin")
            if not manager.add_user(ADMIN, "Fanfold", "Admin", "admin@localhost", role, password):
                raise BadConfiguration(
                    f"The account {ADMIN!r} could not be created; see the log above."
                )
        else:
            manager.reset_password(user.id, password)


def main() -> int:
    """Run the installation; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        wanted = connections(os.environ)
        password = required(os.environ, "AIRFLOW_ADMIN_PASSWORD")
        migrate()
        made = ensure_connections(wanted)
        pools = ensure_pools()
        ensure_admin(password)
    except FanfoldError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    names = [", ".join(each) or "none" for each in (made, pools)]
    log.info("The database is up to date; created connections: %s; pools: %s.", *names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
