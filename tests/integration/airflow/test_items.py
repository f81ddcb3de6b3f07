"""Items from Params, files, datasets, earlier runs and queries, as a task reads them."""

from __future__ import annotations

import gzip
import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fanfold.errors import BadConfiguration, BadInput, SinkUnavailable
from fanfold.model import Counts, FileEntry, Manifest, RunStatus
from fanfold.readers import files
from fanfold.stages.publishing import publish
from fanfold.storage.objects import Bucket

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def connect(airflow_home, monkeypatch):
    """``connect(name, **fields)`` makes an Airflow connection."""
    assert airflow_home.is_dir()

    def add(name, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))

    return add


@pytest.fixture
def bucket(connect, s3_server, s3_client, bucket_name, monkeypatch):
    """The bucket of FANFOLD_BUCKET."""
    connect(
        "aws_default",
        conn_type="aws",
        login=s3_server.access_key,
        password=s3_server.secret_key,
        extra={"endpoint_url": s3_server.url, "region_name": "us-east-1"},
    )
    monkeypatch.setenv("FANFOLD_BUCKET", bucket_name)
    return Bucket(s3_client, bucket_name)


def read(column="item", **chosen):
    """Key and attributes of each item."""
    from fanfold.airflow.items import located_items
    from fanfold.airflow.items_from import ItemsFrom

    with located_items(ItemsFrom(**chosen), column) as located:
        return [(key, attributes) for _, _, key, attributes in located]


# Which Param


def chosen(conf, *, run_type="manual", **settings):
    """Where a run with this ``conf`` takes its items from."""
    from airflow.sdk import DAG, BaseOperator
    from airflow.sdk.api.datamodels._generated import DagRunType
    from airflow.sdk.definitions.param import process_params

    from fanfold.airflow.items_from import items_of
    from fanfold.airflow.params import item_params

    with DAG("a_dag", schedule=None, params=item_params(**settings)) as dag:
        task = BaseOperator(task_id="a_task")
    params = process_params(dag, task, conf, suppress_exception=False)
    run = SimpleNamespace(run_type=DagRunType(run_type))
    found = items_of({"params": params, "dag": dag, "dag_run": run})
    return {name: value for name in found.__slots__ if (value := getattr(found, name))}


URI = "file:///a.csv"
OTHER = "run://a_dag/manual__2026"
SQL = {"sql": "SELECT 1", "sql_connection": "db"}
OWN = {"is_default": True}


@pytest.mark.parametrize(
    ("settings", "conf", "expected"),
    [
        ({"default": [1, 2]}, {}, {"items": (1, 2), **OWN}),
        ({"default": ["a"], "name": "user_ids"}, {"user_ids": ["b"]}, {"items": ("b",)}),
        ({"default": ["a"]}, {"items": []}, {}),
        # The trigger form sends all Params, and the numbers of a list as strings.
        ({"default": [1, 2]}, {"items": ["1", "2"], "items_uri": URI}, {"uri": URI}),
        ({"default": ["a"]}, {"items_uri": ""}, {"items": ("a",), **OWN}),
        ({"uri": URI}, {}, {"uri": URI, **OWN}),
        ({"uri": URI}, {"items": ["a"]}, {"items": ("a",)}),
        ({"uri": URI}, {"items_uri": OTHER}, {"uri": OTHER}),
        (SQL, {}, {**SQL, **OWN}),
        (SQL, {"items_uri": OTHER}, {"uri": OTHER}),
        ({"sql_connection": "db"}, {"items_sql": "SELECT 2"}, {**SQL, "sql": "SELECT 2"}),
    ],
)
def test_what_a_run_is_given_takes_precedence_over_defaults(airflow_home, settings, conf, expected):
    assert airflow_home.is_dir()
    assert chosen(conf, **settings) == expected


@pytest.mark.parametrize(
    ("conf", "named"),
    [
        ({"items_uri": URI, "items_sql": "SELECT 2"}, "items_sql and items_uri"),
        ({"users": ["b"], "items_uri": URI}, "items_uri and users"),
        ({"user": ["b"]}, "no Param user; the DAG has batch_size, concurrency, .* users"),
    ],
)
def test_items_that_are_given_twice_or_to_no_param_are_refused(airflow_home, conf, named):
    assert airflow_home.is_dir()
    with pytest.raises(BadInput, match=named):
        chosen(conf, name="users", default=["a"], **SQL)


@pytest.mark.parametrize(
    "uri", ["/etc/passwd", "file:///etc/passwd", "https://a/b.csv", "dataset://a", "run://a"]
)
def test_other_uris_are_refused_in_words(airflow_home, uri):
    assert airflow_home.is_dir()
    said = rf"items_uri: '{uri}' is not an items file, a dataset or a run\..* run://dag_id/run_id"
    with pytest.raises(BadInput, match=said):
        chosen({"items_uri": uri})


FROM_VARIABLE = {**OWN, "variable": "a_dag_items"}


@pytest.mark.parametrize(
    ("variable", "conf", "expected"),
    [
        (URI, {}, {"uri": URI, **FROM_VARIABLE}),
        ('["b", 2]', {}, {"items": ("b", 2), **FROM_VARIABLE}),
        ('{"items_sql": "SELECT 1"}', {}, {**SQL, **FROM_VARIABLE}),
        # The form that a person has not changed: numbers are texts, empty fields too.
        (URI, {"users": ["1", "2"], "items_uri": ""}, {"uri": URI, **FROM_VARIABLE}),
        (URI, {"users": ["b"]}, {"items": ("b",)}),
        (URI, {"users": []}, {}),
        (" ", {}, {"items": (1, 2), **OWN}),
    ],
)
def test_a_variable_replaces_the_list_of_the_dag_file(
    airflow_home, monkeypatch, variable, conf, expected
):
    assert airflow_home.is_dir()
    monkeypatch.setenv("AIRFLOW_VAR_A_DAG_ITEMS", variable)
    settings = {"default": [1, 2], "name": "users", "sql_connection": "db"}
    assert chosen(conf, **settings) == expected
    # Also in a run that no person has triggered.
    if expected.get("variable"):
        assert chosen(conf, run_type="scheduled", sample=True, **settings) == expected


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ("a.csv", "'a.csv' is not an items file"),
        ("[[1], {}", "is not an items file"),
        ("5", "5 is not of type 'array'"),
        ('{"users": "a"}', "'a' is not of type 'array'"),
        ('{"users": ["a"], "items_uri": "run://a/b"}', "it has users, items_uri"),
        ('{"concurrency": 2}', "it has concurrency"),
        ('{"items_sql": "SELECT 1"}', "it has items_sql"),
    ],
)
def test_a_variable_that_names_no_items_is_refused(airflow_home, monkeypatch, variable, named):
    assert airflow_home.is_dir()
    monkeypatch.setenv("AIRFLOW_VAR_A_DAG_ITEMS", variable)
    with pytest.raises(BadConfiguration, match=rf"Variable a_dag_items.*{named}.* JSON list"):
        chosen({}, default=["a"], name="users")


def test_a_sample_is_for_people_only(airflow_home):
    assert airflow_home.is_dir()
    sample = {"default": ["a"], "sample": True}
    assert chosen({}, **sample) == {"items": ("a",), **OWN}
    assert chosen({"items": ["b"]}, run_type="scheduled", **sample) == {"items": ("b",)}
    for run_type in ("scheduled", "backfill", "asset_triggered", "operator_triggered"):
        with pytest.raises(BadConfiguration, match="Variable a_dag_items, or AIRFLOW_VAR_A_DAG_"):
            chosen({}, run_type=run_type, **sample)
        assert chosen({}, run_type=run_type, default=["a"]) == {"items": ("a",), **OWN}


def test_a_dag_has_a_query_only_if_its_author_names_a_connection(airflow_home):
    from fanfold.airflow.params import item_params

    assert airflow_home.is_dir()
    assert "items_sql" not in item_params()
    assert "items_sql" in item_params(sql_connection="db")
    assert {"concurrency", "requests_per_second"}.isdisjoint(item_params(requests=False))


def test_a_merge_over_files_has_params_for_its_dates_and_earlier_rows(
    airflow_home, tmp_path, monkeypatch
):
    from airflow.sdk import DAG, BaseOperator
    from airflow.sdk.definitions.param import process_params
    from airflow.sdk.exceptions import ParamValidationError

    from fanfold.airflow.items_from import items_of
    from fanfold.airflow.params import file_params, item_params
    from fanfold.airflow.settings import Options

    assert airflow_home.is_dir()
    pattern = "s3://b/{date:%Y/%m/%d}/*.csv"
    with DAG("a_dag", schedule=None, params=file_params([pattern], mode="merge")) as dag:
        task = BaseOperator(task_id="a_task")
    params = process_params(dag, task, {"lag_days": 5}, suppress_exception=False)
    run = SimpleNamespace(dag_id="a_dag", run_id="a_run", logical_date=datetime.now(UTC))
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(tmp_path))
    context = {"params": params, "dag": dag, "dag_run": run}
    assert items_of(context).items == (pattern,)
    options = Options.of(context)
    assert (options.lag_days, options.earlier_rows) == (5, "auto")
    with pytest.raises(ParamValidationError, match="earlier_rows"):
        process_params(dag, task, {"earlier_rows": "drop"}, suppress_exception=False)
    assert ["earlier_rows" in made for made in (file_params(), item_params(mode="merge"))] == [
        *(False, True)
    ]


def test_airflow_stores_and_restores_the_params_of_a_dag(airflow_home):
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    from fanfold.airflow.params import file_params, item_params

    assert airflow_home.is_dir()
    params = {
        **file_params(["s3://b/{date}/*"], mode="merge"),
        **item_params([{"item": "a", "size": 1}], **SQL),
    }
    with DAG("a_dag", schedule=None, params=params) as dag:
        stored = json.dumps(DagSerialization.to_dict(dag))
    restored = DagSerialization.from_dict(json.loads(stored)).params
    assert restored.dump() == dag.params.dump()


# A dataset


def publish_dataset(bucket, folder, **tables):
    """Publish a run of the DAG ``topics`` with these tables."""
    folder.mkdir()
    entries = []
    for name, columns in tables.items():
        path = folder / f"{name}.parquet"
        pq.write_table(pa.table(columns), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append(FileEntry(path.name, "parquet", 1, path.stat().st_size, digest, name))
    now = "2026-03-01T00:00:00.000Z"
    manifest = Manifest(
        *("topics", "manual", now, RunStatus.COMPLETE, Counts(1, 1)),
        *(tuple(entries), 1, now, now),
    )
    return publish(bucket, folder, manifest)


def test_a_column_of_another_pipelines_latest_dataset_has_the_items(bucket, tmp_path):
    publish_dataset(
        bucket,
        tmp_path / "run",
        posts={"id": [1, 2, 3], "user": pa.array(["a", None, "b"]).dictionary_encode()},
        users={"user": ["c"]},
    )
    assert [key for key, _ in read(uri="dataset://topics/user")] == ["a", None, "b"]
    assert read(uri="dataset://topics/users/user") == [("c", None)]
    for uri, said in [
        ("dataset://topics/posts/nobody", "topics/posts has no column 'nobody', but: id, user"),
        ("dataset://topics/others/user", "no table 'others', but: posts, users"),
        ("dataset://nothing/user", "'nothing' has published nothing: there is no s3://"),
        (f"s3://{bucket.name}/nowhere.csv", f"s3://{bucket.name}/nowhere.csv"),
    ]:
        with pytest.raises(BadInput, match=said):
            read(uri=uri)


def test_objects_and_files_are_read_from_allowed_places_only(bucket, tmp_path, monkeypatch):
    """The bucket, and the folder of inputs; keys are not quoted."""
    key = "lists/list #1? 100%25.csv.gz"
    body = gzip.compress(b"item,a\n1,x\n2,y\n")
    bucket.client.put_object(Bucket=bucket.name, Key=key, Body=body)
    uri = f"s3://{bucket.name}/{key}"
    assert read(uri=uri) == [("1", {"a": "x"}), ("2", {"a": "y"})]
    monkeypatch.setattr(files, "MAX_BYTES", len(body) - 1)
    with pytest.raises(BadInput, match=f"more than {len(body) - 1} bytes"):
        read(uri=uri)
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(tmp_path / "shared"))
    path = tmp_path / "shared" / "inputs" / "a.csv"
    path.parent.mkdir(parents=True)
    path.write_text("item\n1\n")
    assert read(uri=path.as_uri()) == [("1", None)]
    monkeypatch.setenv("FANFOLD_FILES_ALLOWED", f"s3://{bucket.name}/lists/")
    for other in (
        f"s3://{bucket.name}/other.csv",
        "s3://other/a.csv",
        f"{tmp_path.as_uri()}/a.csv",
        f"{(tmp_path / 'shared').as_uri()}/a.csv",
    ):
        with pytest.raises(BadInput, match="is not allowed: files are read from"):
            read(uri=other)


def test_a_dataset_that_is_replaced_while_it_is_read_is_read_again(bucket, tmp_path):
    result = publish_dataset(bucket, tmp_path / "run", posts={"user": ["a"]})
    bucket.client.put_object(Bucket=bucket.name, Key=f"{result.prefix}posts.parquet", Body=b"PAR1")
    with pytest.raises(SinkUnavailable, match=r"posts\.parquet does not have the SHA-256"):
        read(uri="dataset://topics/user")
    bucket.client.put_object(Bucket=bucket.name, Key=f"{result.prefix}manifest.json", Body=b"{}")
    with pytest.raises(SinkUnavailable, match=r"manifest\.json does not have the SHA-256"):
        read(uri="dataset://topics/user")


# A query


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, connect, tmp_path):
    """A database with three cities; ``database()`` returns the names that it has now."""
    if request.param == "sqlite":
        path = tmp_path / "a.db"
        connect("db", conn_type="sqlite", host=str(path))

        def execute(sql):
            with closing(sqlite3.connect(path)) as connection, connection:
                return connection.execute(sql).fetchall()

        execute("CREATE TABLE city (name TEXT, size INT)")
    else:
        server = request.getfixturevalue("postgres_database")
        login = {"login": server.user, "password": server.password}
        address = {"host": server.host, "port": server.port, "schema": server.dbname}
        # In a session of this encoding, text would be bytes; psycopg reads no dates of this style.
        extra = {"client_encoding": "SQL_ASCII", "options": "-c DateStyle=German"}
        connect("db", conn_type="postgres", extra=extra, **login, **address)

        def execute(sql):
            with server.connect() as connection:
                cursor = connection.execute(sql)
                return cursor.fetchall() if cursor.description else []

        execute("CREATE TABLE city (name TEXT, size INT)")
    execute("INSERT INTO city VALUES ('Bern', 1), ('100% Rom', 2), (NULL, 3)")
    return lambda: [name for (name,) in execute("SELECT name FROM city ORDER BY size")]


CITIES = ["Bern", "100% Rom", None]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_a_date_of_a_query_is_iso_8601():
    chosen = {"sql": "SELECT 1 AS n, DATE '2026-03-02' AS day", "sql_connection": "db"}
    assert read("n", **chosen) == [(1, {"day": "2026-03-02"})]


def test_a_query_has_keys_and_attributes(database):
    assert database() == CITIES
    sql = "SELECT size, name FROM city WHERE name LIKE '%' OR size > 2 ORDER BY size;"
    chosen = {"sql": sql, "sql_connection": "db"}
    assert read("name", **chosen) == [
        ("Bern", {"size": 1}),
        ("100% Rom", {"size": 2}),
        (None, {"size": 3}),
    ]
    assert read("item", **chosen)[0] == (1, {"name": "Bern"})


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM city",
        "DELETE FROM city RETURNING name",
        "WITH gone AS (DELETE FROM city RETURNING name) SELECT name FROM gone",
        "SELECT name FROM city; COMMIT; DELETE FROM city",
        "SELECT name FROM city; DELETE FROM city",
        "SELECT nobody FROM city",
        "SELECT name FROM nothing",
        "COMMIT",
        'ATTACH "made.db" AS made',
        'VACUUM INTO "made.db"',
        "PRAGMA journal_mode = WAL",
    ],
)
def test_a_query_that_writes_or_is_wrong_is_refused_and_named(database, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput) as caught:
        read(sql=sql, sql_connection="db")
    assert not [each for each in tmp_path.iterdir() if each.name != "a.db"]
    assert f"the query '{sql[:20]}" in str(caught.value)
    assert "connection 'db'" in str(caught.value)
    assert database() == CITIES


def test_a_function_that_writes_is_refused_by_postgres(request, connect):
    server = request.getfixturevalue("postgres_database")
    with server.connect() as connection:
        connection.execute("CREATE TABLE city (name TEXT)")
        connection.execute(
            "CREATE FUNCTION wipe() RETURNS INT LANGUAGE SQL AS 'INSERT INTO city VALUES (1); SELECT 1'"
        )
    login = {"login": server.user, "password": server.password}
    address = {"host": server.host, "port": server.port, "schema": server.dbname}
    connect("db", conn_type="postgres", **login, **address)
    for sql in ("SELECT wipe()", "SELECT set_config('transaction_read_only', 'off', true), wipe()"):
        with pytest.raises(BadInput, match=r"read-only|read-write"):
            read(sql=sql, sql_connection="db")


def test_a_connection_that_is_no_database_is_refused(connect):
    connect("db", conn_type="http", host="http://127.0.0.1")
    with pytest.raises(BadConfiguration, match="'db' has the type 'http', for which no provider"):
        read(sql="SELECT 1", sql_connection="db")
    with pytest.raises(BadConfiguration, match="There is no connection 'nowhere'"):
        read(sql="SELECT 1", sql_connection="nowhere")


def test_a_database_that_is_unavailable_is_tried_again_and_its_password_is_not_shown(connect):
    connect("db", conn_type="postgres", host="127.0.0.1", port=1, login="a", password="s3cret-pw")
    with pytest.raises(SinkUnavailable, match=r"^db \(127\.0\.0\.1\): .* port 1 failed") as caught:
        read(sql="SELECT 1", sql_connection="db")
    assert "s3cret-pw" not in str(caught.value)
