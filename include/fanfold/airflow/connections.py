"""Airflow connections, opened as the clients that the stages use."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.sdk import Connection
from airflow.sdk.log import mask_secret

from fanfold.airflow.settings import defer_after, files_allowed, rate_limit_url, shared_directory
from fanfold.errors import BadConfiguration, CredentialRefused, SinkUnavailable, SourceBusy
from fanfold.messages import Message
from fanfold.model import utc_text
from fanfold.sources import Api, Compute, Files, Function

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from fanfold.airflow.settings import Options
    from fanfold.pipeline import Pipeline
    from fanfold.rate_limit.limiter import SharedRateLimiter
    from fanfold.sources import Session
    from fanfold.sources.endpoint import Endpoint
    from fanfold.storage.locations import Locations
    from fanfold.storage.objects import Bucket

AWS = "aws_default"
WAREHOUSE = "warehouse_default"
_POSTGRES_TYPES = {"postgres", "postgresql"}

S3: dict[str, Any] = {
    # boto3 would sign presigned URLs by the deprecated version 2 in some regions.
    "signature_version": "s3v4",
    "connect_timeout": 5,
    # S3 answers within milliseconds, and sends spaces while it completes a large upload.
    "read_timeout": 30,
    # Retries for short faults: up to 31 s of throttling (full jitter over 1, 2, 4, 8, 16 s), 1.5 s
    # of other errors, 3 minutes without an answer. Longer outages are left to the task's retries,
    # which hold no worker slot.
    "retries": {"mode": "standard", "total_max_attempts": 6},
}
"""Default options of boto's client; ``config_kwargs`` in the connection's extra overrides them."""
POSTGRES: dict[str, Any] = {
    "connect_timeout": 10,
    # Detect a dead server machine after a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""Default libpq options; the connection's extra overrides them. Seconds; the last one in
milliseconds."""
SQLITE_TIMEOUT = 60.0
"""Seconds to wait for the lock of another writer of an SQLite file."""


def source_connection(pipeline: Pipeline) -> str:
    """Return the connection id of a pipeline's source, such as ``weibo_default``; "" if it needs none."""
    source = pipeline.source
    return "" if isinstance(source, Compute) else source.connection or f"{pipeline.name}_default"


@contextlib.contextmanager
def about(connection_id: str) -> Iterator[None]:
    """Note in the errors of the block which connection they are about, for the run page."""
    try:
        yield
    except (BadConfiguration, CredentialRefused, SinkUnavailable, SourceBusy) as error:
        error.connection = error.connection or connection_id
        raise


def endpoint(pipeline: Pipeline) -> Endpoint:
    """Return the endpoint configured for the API or the functions of a pipeline.

    Raises:
        BadConfiguration: The connection is missing or wrong.
    """
    from fanfold.sources.endpoint import Endpoint, function_endpoint

    connection_id = source_connection(pipeline)
    connection = connection_of(connection_id)
    # Airflow masks the password as it is: a line break at its end would keep it from being found in a log.
    mask_secret((connection.password or "").strip())
    fields: dict[str, Any] = {
        "host": connection.host,
        "port": connection.port,
        "schema": connection.schema,
        "token": connection.password,
        "extra": _extra(connection_id, connection),
    }
    if isinstance(pipeline.source, Function):
        login = connection.login
        return function_endpoint(
            connection_id, conn_type=connection.conn_type, login=login, **fields
        )
    return Endpoint.parse(connection_id, **fields)


def places(pipeline: Pipeline, keys: Iterable[str]) -> tuple[str, ...]:
    """Return where the requests for some items go, for people: URLs, regions and buckets, no credentials.

    Raises:
        BadConfiguration: The connection is missing or wrong.
    """
    source = pipeline.source
    if isinstance(source, Files):
        with locations(source.connection) as files:
            return files.places(keys)
    if isinstance(source, (Api, Function)):
        with source_session(source, endpoint(pipeline), as_of=datetime.now(UTC)) as session:
            return (session.place,)
    return ()


def source_session(
    source: Api | Function, endpoint: Endpoint, *, as_of: datetime, run: str = ""
) -> Session:
    """Open a session with an API or functions; ``run`` names the run in idempotency keys.

    Raises:
        BadConfiguration: The connection is wrong.
    """
    from fanfold.sources.functions.session import open_session

    client = partial(_lambda_client, endpoint.connection)
    return open_session(source, endpoint, client, as_of=as_of, run=run)


def _lambda_client(connection_id: str, options: Mapping[str, Any]) -> Any:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    with _aws_errors(connection_id):
        hook = _stripped_hook(AwsBaseHook(aws_conn_id=connection_id, client_type="lambda"))
        # Given to the hook, they would replace those of the connection, such as its proxies.
        return hook.get_client_type(config=hook.config.merge(Config(**options)))


def rate_limiter(
    endpoint: Endpoint, options: Options
) -> contextlib.AbstractContextManager[SharedRateLimiter]:
    """Open the rate limiter of an endpoint."""
    from fanfold.rate_limit import open_rate_limiter

    return open_rate_limiter(
        rate_limits(),
        endpoint.scope,
        options.requests_per_second or endpoint.requests_per_second,
        endpoint.requests_per_hour,
        redis_url=rate_limit_url(),
        max_wait=defer_after(),
    )


def rate_limits() -> Path:
    """Return the folder of the rate limits that are kept in files."""
    return shared_directory() / ".rate-limits"


def pause_of(endpoint: Endpoint) -> tuple[float, str]:
    """Return the rest of an endpoint's pause in seconds, and a sentence with its reason and how to end it.

    Without a pause: 0 and "". Raises as :func:`rate_limiter` does.
    """
    from fanfold.rate_limit import open_store

    store = open_store(rate_limits(), endpoint.scope, redis_url=rate_limit_url())
    with contextlib.closing(store):
        seconds, reason = store.paused()
    if seconds <= 0:
        return 0.0, ""
    until = utc_text(datetime.now(UTC) + timedelta(seconds=seconds))
    return seconds, (
        f"Requests to {endpoint.server} with this token are paused until {until}: "
        f"{Message.from_text(reason)}. To end the pause early, {store.to_resume}, and clear the fetch tasks that "
        "wait for it."
    )


@contextlib.contextmanager
def bucket(name: str) -> Iterator[Bucket]:
    """Open a bucket with the connection ``aws_default``.

    Raises:
        BadConfiguration: The connection does not exist.
    """
    from fanfold.storage.objects import Bucket

    with about(AWS), contextlib.closing(_s3_client(AWS)) as client:
        yield Bucket(client, name)


def locations(connection_id: str) -> Locations:
    """Return the files that runs may read; objects with a connection of type ``aws``.

    Raises:
        BadConfiguration: ``FANFOLD_FILES_ALLOWED`` is wrong.
    """
    from fanfold.storage.locations import CLIENT, Locations

    return Locations(files_allowed(), lambda: _s3_client(connection_id, CLIENT))


def _s3_client(connection_id: str, options: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Return a client; ``options`` override those of the connection."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    # Without the connection boto would fall back to credentials and endpoints from elsewhere.
    _extra(connection_id, connection_of(connection_id))
    with _aws_errors(connection_id):
        hook = _stripped_hook(AwsBaseHook(aws_conn_id=connection_id, client_type="s3"))
        config = Config(**S3).merge(hook.config).merge(Config(**options))
        return hook.get_client_type(config=config)


def _stripped_hook(hook: Any) -> Any:
    """Return an AWS hook whose credentials have no white space around them; they become parts of headers."""
    from fanfold.sources.endpoint import stripped

    # At debug level it logs headers, such as that with the session token.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    found = hook.conn_config
    for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
        text = stripped(hook.aws_conn_id, name, getattr(found, name))
        setattr(found, name, text or None)
    return hook


@contextlib.contextmanager
def _aws_errors(connection_id: str) -> Iterator[None]:
    """Translate what is wrong in the extra of a connection of type ``aws``."""
    from botocore import exceptions as boto

    from fanfold.storage.s3_errors import translate

    try:
        yield
    except (
        boto.ClientError,
        boto.ConnectionError,
        boto.HTTPClientError,
    ) as error:  # of STS: a role is assumed
        raise translate(error, f"Connection {connection_id!r}") from None
    except boto.NoRegionError:
        raise BadConfiguration(
            f"Connection {connection_id!r} has no region: set region_name in its extra."
        ) from None
    except (boto.BotoCoreError, AttributeError, TypeError, NotImplementedError) as error:
        raise BadConfiguration(
            f"Connection {connection_id!r}: a value in its extra is wrong, such as config_kwargs, region_name, "
            f"endpoint_url or role_arn: {' '.join(str(error).split())}."
        ) from None
    except ValueError:  # its text has the URL, which may have a password
        raise BadConfiguration(
            f"Connection {connection_id!r}: endpoint_url or a number of config_kwargs in its extra is wrong: the "
            "first must look like https://host:port, and a time-out is a number, not a text."
        ) from None


@contextlib.contextmanager
def warehouse() -> Iterator[Any]:
    """Open ``warehouse_default`` as a psycopg 3 or sqlite3 connection; close it on exit.

    Raises:
        BadConfiguration: The connection is missing or has an unsupported type.
        SinkUnavailable: The database cannot be reached.
    """
    with about(WAREHOUSE):
        connection = connection_of(WAREHOUSE)
        if connection.conn_type not in {"sqlite", *_POSTGRES_TYPES}:
            raise BadConfiguration(
                f"Connection {WAREHOUSE!r} has the type {connection.conn_type!r}; "
                "it must be postgres or sqlite."
            )
        with _opened(WAREHOUSE, connection) as opened:
            yield opened


@contextlib.contextmanager
def database(connection_id: str) -> Iterator[Any]:
    """Open the connection of any SQL database as a DB-API connection; close it on exit.

    Raises:
        BadConfiguration: The connection is missing, or not that of an SQL database.
        SinkUnavailable: The database cannot be reached.
    """
    with about(connection_id), _opened(connection_id, connection_of(connection_id)) as opened:
        yield opened


@contextlib.contextmanager
def _opened(connection_id: str, connection: Connection) -> Iterator[Any]:
    from fanfold.stages.loading import database_errors

    where = f" ({connection.host})" if connection.host else ""
    with database_errors(connection_id + where):
        if connection.conn_type == "sqlite":
            opened: Any = _sqlite(connection)
        elif connection.conn_type in _POSTGRES_TYPES:
            opened = _postgres(connection)
        else:
            opened = _by_hook(connection)
    with contextlib.closing(opened):
        yield opened


def _by_hook(connection: Connection) -> Any:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from airflow.sdk.exceptions import AirflowException

    with contextlib.suppress(AirflowException, ImportError):  # no provider for this type
        hook = connection.get_hook()  # type: ignore[no-untyped-call]
        if isinstance(hook, DbApiHook):
            return hook.get_conn()
    raise BadConfiguration(
        f"Connection {connection.conn_id!r} has the type {connection.conn_type!r}, for which no "
        "provider of an SQL database is installed."
    )


def _postgres(connection: Connection) -> Any:
    import psycopg
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    # Text is UTF-8, whatever PGCLIENTENCODING, the role or the extra say.
    extra = {**POSTGRES, **_extra(connection.conn_id, connection), "client_encoding": "UTF8"}
    connection.extra = json.dumps(extra)
    try:
        return PostgresHook(connection=connection).get_conn()
    except psycopg.Error:
        raise
    except Exception as error:  # noqa: BLE001 - for `iam` those of botocore, too
        raise BadConfiguration(
            f"Connection {connection.conn_id!r}: its extra cannot be used, such as `cursor` or `iam` "
            f"({type(error).__name__}): correct or remove what the provider of Postgres does not accept."
        ) from None


def _sqlite(connection: Connection) -> Any:
    import sqlite3
    from pathlib import Path

    path = Path(connection.host or connection.schema or "")
    if not path.is_absolute():
        raise BadConfiguration(
            f"Connection {connection.conn_id!r}: host must be the absolute path of an SQLite file."
        )
    return sqlite3.connect(path, timeout=SQLITE_TIMEOUT)


def connection_of(connection_id: str) -> Connection:
    """Return a connection of Airflow.

    Raises:
        BadConfiguration: It does not exist, or its environment variable is wrong.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

    variable = f"AIRFLOW_CONN_{connection_id.upper()}"
    text = os.environ.get(variable, "").strip()
    try:
        # Where this fails, Airflow goes on to its database: to another server than the one that is set.
        if text.startswith("{"):
            Connection.from_json(text)
        elif text:
            Connection.from_uri(text, connection_id)
    except Exception:  # noqa: BLE001 - of parsers; their texts may contain a password
        raise BadConfiguration(
            f"{variable} is neither the JSON nor the URI of a connection; check its port and quotes."
        ) from None
    try:
        connection: Connection = Connection.get(connection_id)
    except (AirflowNotFoundException, AirflowRuntimeError):
        raise BadConfiguration(
            f"There is no connection {connection_id!r}. Create it in the UI (Admin, Connections) "
            f"or set {variable}."
        ) from None
    return connection


def _extra(connection_id: str, connection: Connection) -> dict[str, Any]:
    # Not ``extra_dejson``, which is empty if the extra is not JSON.
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise BadConfiguration(f"Connection {connection_id!r}: extra is not a JSON object.")
    return extra
