"""Publish cut off at every single call: readers never see half a run."""

import pytest

from fanfold.stages.publishing import publish
from fanfold.storage.objects import Bucket, Parts

MIB = 1024 * 1024


class CutOff(Exception):  # noqa: N818 - it is an event, not an error
    """The process was killed here; the client can do nothing from now on."""


class Knife:
    """Counts the calls of a client, and lets none through from one of them on."""

    def __init__(self, client):
        self.calls = 0
        self.at = None
        client.meta.events.register("before-call.s3", self.count)

    def count(self, **_):
        self.calls += 1
        if self.at is not None and self.calls >= self.at:
            raise CutOff

    def cut_at(self, number):
        self.calls, self.at = 0, number


@pytest.mark.parametrize(
    ("former", "then"),
    [
        ({"day": 1}, {"day": 2, "content": b"new"}),
        ({"day": 2, "content": b"partial"}, {"day": 2, "content": b"whole"}),
    ],
    ids=["the next day", "the same run again"],
)
def test_wherever_it_is_cut_latest_is_whole(
    new_s3_client, s3_client, make_run, read_as_a_reader, bucket_name, former, then
):
    """Cut at the k-th call for every k; read; run it again; read."""
    bucket = Bucket(new_s3_client, bucket_name)
    undisturbed = Bucket(s3_client, bucket_name)
    # Each file more is some calls more to cut at, and each costs a run: two show the order.
    old, new = (make_run(**run, without=("users.csv.gz",)) for run in (former, then))
    publish(undisturbed, old.dataset, old.manifest)
    at_first = _objects(undisturbed)
    knife = Knife(new_s3_client)
    seen = set()
    for number in range(1, 200):
        _restore(undisturbed, at_first)
        knife.cut_at(number)
        try:
            publish(bucket, new.dataset, new.manifest)
        except CutOff:
            found = read_as_a_reader()
            assert found in {old.manifest, new.manifest}, number
            seen.add(found)
        else:
            break
        knife.cut_at(None)
        assert publish(bucket, new.dataset, new.manifest).latest_moved
        assert read_as_a_reader() == new.manifest
        assert len(_keys(undisturbed)) == 4 + 3 * (old.manifest.run_id != new.manifest.run_id)
    assert number >= 14, "every call of a publish is cut once"
    assert seen == {old.manifest, new.manifest}


@pytest.mark.parametrize("number", range(1, 9))
def test_an_upload_in_parts_that_is_cut_leaves_the_former_run(
    new_s3_client, s3_client, make_run, read_as_a_reader, bucket_name, number
):
    """Parts go out on several threads; whichever call is cut, no half file appears."""
    old, new = make_run(1), make_run(2, padding=11 * MIB)
    publish(Bucket(s3_client, bucket_name), old.dataset, old.manifest)
    knife = Knife(new_s3_client)
    parts = Parts(threshold=5 * MIB, size=5 * MIB)
    knife.cut_at(number)
    with pytest.raises(CutOff):
        publish(Bucket(new_s3_client, bucket_name), new.dataset, new.manifest, parts=parts)
    assert read_as_a_reader() == old.manifest
    knife.cut_at(None)
    publish(Bucket(new_s3_client, bucket_name), new.dataset, new.manifest, parts=parts)
    assert read_as_a_reader() == new.manifest


def _keys(bucket):
    found = bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", [])
    return [entry["Key"] for entry in found]


def _objects(bucket):
    """Return the body and metadata of every object."""
    found = {}
    for key in _keys(bucket):
        answer = bucket.client.get_object(Bucket=bucket.name, Key=key)
        with answer["Body"] as body:
            found[key] = {"Body": body.read(), "Metadata": answer["Metadata"]}
    return found


def _restore(bucket, objects):
    for key in _keys(bucket):
        if key not in objects:
            bucket.client.delete_object(Bucket=bucket.name, Key=key)
    for key, content in objects.items():
        bucket.client.put_object(Bucket=bucket.name, Key=key, **content)
