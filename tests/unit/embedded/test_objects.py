import pytest

from fanfold.embedded.objects import client, keep, keys, restore
from fanfold.embedded.s3 import running_s3
from fanfold.embedded.settings import BUCKET


@pytest.fixture
def empty():
    """Return a function that makes a client for an S3 server without objects."""
    with running_s3() as first, running_s3() as second:
        servers = iter((first, second))

        def _client():
            server = next(servers)
            return client(server.url, server.access_key, server.secret_key)

        yield _client


def test_objects_survive_a_restart_with_metadata(empty, tmp_path):
    old = empty()
    restore(old, tmp_path)
    key = "a/../b/日期=1/users.csv.gz"
    old.put_object(
        Bucket=BUCKET, Key=key, Body=b"rows", ContentType="text/csv", Metadata={"sha256": "1f"}
    )
    old.put_object(Bucket=BUCKET, Key="a/latest.json", Body=b"old")
    assert keep(old, tmp_path) == 2
    old.put_object(Bucket=BUCKET, Key="a/latest.json", Body=b"new")
    old.put_object(Bucket=BUCKET, Key="gone", Body=b"")
    old.delete_object(Bucket=BUCKET, Key="gone")
    assert keep(old, tmp_path) == 2
    assert len(list(tmp_path.iterdir())) == 3, "what is not needed any more is removed"

    new = empty()
    assert restore(new, tmp_path) == 2
    assert sorted(each["Key"] for each in keys(new)) == sorted([key, "a/latest.json"])
    answer = new.get_object(Bucket=BUCKET, Key=key)
    assert answer["Body"].read() == b"rows"
    assert answer["ContentType"] == "text/csv"
    assert answer["Metadata"] == {"sha256": "1f"}
    assert new.get_object(Bucket=BUCKET, Key="a/latest.json")["Body"].read() == b"new"
