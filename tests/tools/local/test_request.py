"""From the command line of `make run` to the Params of a DAG."""

from pathlib import Path

import pytest

from fanfold.errors import BadInput
from fanfold.local.request import Request, upload_key

WEIBO, SUM = "weibo_user_profiles", "concurrent_sum"


def param(value=None, **schema):
    return {"value": value, "description": None, "schema": schema}


PARAMS = {
    "batch_size": param(type=["null", "integer"]),
    "colours": param(["red"], type="array"),
    "numbers": param(["1"], type="array", **{"x-list": True}),
    "items_uri": {
        **param(type=["null", "string"]),
    },
}


@pytest.fixture
def conf(tmp_path):
    def conf_of(*arguments, simulated=True):
        return Request(*arguments).conf(PARAMS, tmp_path, lambda _: simulated)

    return conf_of


def users_of(conf, tmp_path):
    (path,) = tmp_path.glob("*.csv")
    assert conf == {"items_uri": path.as_uri()}
    return path.read_text().split()[1:]


@pytest.mark.parametrize("text", ["1,2,0-9", "1 2 0-9", " 1, 2\n0-9,"])
def test_a_list_becomes_the_param_of_the_items_whatever_its_name(conf, text):
    assert conf(SUM, text) == {"numbers": ["1", "2", "0-9"]}


def test_a_list_is_longer_than_the_name_of_a_file(conf):
    numbers = list(map(str, range(2_000)))
    assert conf(SUM, " ".join(numbers)) == {"numbers": numbers}


def test_a_file_or_its_uri_becomes_items_uri(conf, tmp_path, monkeypatch):
    """A file is copied to where runs may read it; its name needs no quoting."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "list #1.csv").write_text("item\n1\n")
    monkeypatch.chdir(tmp_path / "lists")
    Request(SUM, "list #1.csv").check()
    assert conf(SUM, "list #1.csv") == {"items_uri": f"file://{tmp_path}/{SUM}-list #1.csv"}
    assert (tmp_path / f"{SUM}-list #1.csv").read_text() == "item\n1\n"
    long = "x" * 250 + ".csv"
    (tmp_path / "lists" / long).write_text("item\n1\n")
    assert conf(SUM, long)["items_uri"].endswith("xxx.csv")
    assert conf(SUM, "s3://lists/numbers.parquet") == {"items_uri": "s3://lists/numbers.parquet"}
    with pytest.raises(BadInput, match=r"ITEMS=none\.csv: there is no file none\.csv"):
        Request(SUM, "none.csv").check()


@pytest.mark.parametrize("items", ["file:///etc/passwd", "s3://lists/", "{folder}/list.txt"])
def test_an_items_file_of_another_kind_is_told_with_those_that_are_read(conf, tmp_path, items):
    (tmp_path / "list.txt").write_text("1\n")
    with pytest.raises(BadInput, match=r"is not an items file, a dataset or a run\."):
        conf(SUM, items.format(folder=tmp_path))


def test_items_replace_a_reader_that_is_set_by_default(tmp_path):
    params = {**PARAMS, "items_uri": param("dataset://topics/user"), "items_sql": param("SELECT 1")}
    others = {"items_uri": None, "items_sql": None}
    assert Request(SUM, "1").conf(params, tmp_path, bool) == {"numbers": ["1"], **others}
    uri = "s3://lists/numbers.csv"
    assert Request(SUM, uri).conf(params, tmp_path, bool) == {"items_uri": uri, "items_sql": None}


def test_a_dag_without_items_is_named(tmp_path):
    with pytest.raises(BadInput, match="concurrent_sum has no Param for the items"):
        Request(SUM, "1").conf({}, tmp_path, bool)


@pytest.mark.parametrize("pipeline", [WEIBO, "mastodon_user_profiles"])
def test_users_are_a_sample_of_the_simulator_with_some_that_do_not_exist(conf, tmp_path, pipeline):
    users = users_of(conf(pipeline, "", 200), tmp_path)
    assert len(set(users)) == 200


def test_without_items_and_users_a_simulated_api_gets_300_users_and_others_their_default_list(
    conf, tmp_path
):
    assert conf(SUM) == {}
    assert len(users_of(conf(WEIBO), tmp_path)) == 300
    assert conf(WEIBO, simulated=False) == {}, "simulated users were sent to the user's API"


def test_only_the_sample_of_a_run_without_items_becomes_the_latest(tmp_path):
    params = {**PARAMS, "update_latest": param("auto")}
    updates = [
        Request(WEIBO, *given).conf(params, tmp_path, bool).get("update_latest")
        for given in ((), ("1",), ("", 5))
    ]
    assert updates == ["yes", None, None]


def test_what_does_not_exist_is_named_with_the_alternatives():
    with pytest.raises(BadInput, match=r"no pipeline 'sums' in .*; available: .*concurrent_sum, "):
        Request("sums").check()
    with pytest.raises(BadInput, match=r"USERS=3: .* only for weibo_user_profiles, mastodon_"):
        Request(SUM, users=3).check()
    Request(SUM, "1").check()


def test_a_dag_file_that_runs_a_pipeline_under_its_own_name_can_be_run(tmp_path, monkeypatch):
    monkeypatch.setenv("FANFOLD_DAGS", str(tmp_path))
    with pytest.raises(BadInput, match=r"no DAG file of this name; available: .*concurrent_sum, "):
        Request("authors").check()
    (tmp_path / "authors.py").touch()
    Request("authors").check()


def test_local_files_of_a_pipeline_over_files_are_uploaded_and_uris_stay(tmp_path, monkeypatch):
    for name in ("b.csv", "a.csv", "notes.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    params = {"files": param([], type="array", **{"x-list": True}), "lag_days": param(3)}
    request = Request(SUM, "*.csv s3://shop/{date}/* notes.txt")
    conf = request.conf(params, tmp_path, bool, lambda path: f"s3://uploaded/{path.name}")
    uploaded = [f"s3://uploaded/{name}" for name in ("a.csv", "b.csv")]
    assert conf == {"files": [*uploaded, "s3://shop/{date}/*", "s3://uploaded/notes.txt"]}
    keys = [upload_key(SUM, Path(path)) for path in ("a.csv", "x/a.csv", "x/../y/a.csv")]
    assert keys == [f"uploads/{SUM}{tmp_path}/{name}" for name in ("a.csv", "x/a.csv", "y/a.csv")]
    with pytest.raises(BadInput, match=r"ITEMS=a\.csv c\.csv: there is no file c\.csv"):
        Request(SUM, "a.csv c.csv").check()
    with pytest.raises(BadInput, match=r"there is no file \*\.gz\."):
        Request(SUM, "a.csv *.gz").conf(params, tmp_path, bool)
    with pytest.raises(BadInput, match=rf"no file {tmp_path}; .* write {tmp_path}/\."):
        Request(SUM, str(tmp_path)).conf(params, tmp_path, bool)
    (tmp_path / "x, y").mkdir()
    (tmp_path / "x, y/deep.csv").touch()
    for pattern, number in (("**", 4), (f"{tmp_path}/", 4), ("**/*.csv", 3), ("x, y/", 1)):
        assert len(Request(SUM, pattern).conf(params, tmp_path, bool)["files"]) == number
