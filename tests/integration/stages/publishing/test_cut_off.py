"""Publish is killed at every single request: readers never see an incomplete run."""

import pytest

from fanfold.stages.publishing import publish
from fanfold.storage.objects import Bucket, Parts
from fanfold.storage.published import published_runs

MIB = 1024 * 1024


class Killed(Exception):  # noqa: N818 - an event, not an error
    """The process was killed; its client sends nothing more."""


class Killer:
    """Counts the requests of a client, and stops it at one of them."""

    def __init__(self, client):
        self.calls = 0
        self.at = None
        client.meta.events.register("before-call.s3", self.count)

    def count(self, **_):
        self.calls += 1
        if self.at is not None and self.calls >= self.at:
            raise Killed

    def kill_at(self, number):
        self.calls, self.at = 0, number


@pytest.mark.parametrize(
    ("former", "then"),
    [
        ({"day": 1}, {"day": 2, "content": b"new"}),
        ({"day": 2, "content": b"partial"}, {"day": 2, "content": b"whole"}),
    ],
    ids=["the next day", "the same run again"],
)
def test_latest_points_to_a_whole_run_at_any_time(
    new_s3_client, s3_client, make_run, read_as_a_reader, bucket_name, former, then
):
    """Kill it at the k-th request for every k; read; run it again; read."""
    bucket = Bucket(new_s3_client, bucket_name)
    undisturbed = Bucket(s3_client, bucket_name)
    # Every further file adds requests, and each costs a run: two files show the order.
    old, new = (
        make_run(**run, without=("orders.csv.gz", "failed.jsonl")) for run in (former, then)
    )
    publish(undisturbed, old.dataset, old.manifest)
    at_first = _objects(undisturbed)
    killer = Killer(new_s3_client)
    seen = []
    for number in range(1, 200):
        _restore(undisturbed, at_first)
        killer.kill_at(number)
        try:
            publish(bucket, new.dataset, new.manifest)
        except Killed:
            found = read_as_a_reader()
            assert found in [old.manifest, new.manifest], number
            seen.append(found)
        else:
            break
        killer.kill_at(None)
        assert publish(bucket, new.dataset, new.manifest).latest_moved
        assert read_as_a_reader() == new.manifest
        assert len(_keys(undisturbed)) == 4 + 3 * (old.manifest.run_id != new.manifest.run_id)
    assert number >= 14, "publish is killed at each of its requests"
    assert old.manifest in seen
    assert new.manifest in seen


@pytest.mark.parametrize("number", [1, 4, 6, 8])
def test_a_killed_upload_in_parts_keeps_the_former_run(
    new_s3_client, s3_client, make_run, read_as_a_reader, bucket_name, number
):
    """Parts are uploaded by several threads; no incomplete object appears."""
    old, new = make_run(1), make_run(2, padding=11 * MIB)
    publish(Bucket(s3_client, bucket_name), old.dataset, old.manifest)
    killer = Killer(new_s3_client)
    parts = Parts(threshold=5 * MIB, size=5 * MIB)
    killer.kill_at(number)
    with pytest.raises(Killed):
        publish(Bucket(new_s3_client, bucket_name), new.dataset, new.manifest, parts=parts)
    assert read_as_a_reader() == old.manifest
    killer.kill_at(None)
    publish(Bucket(new_s3_client, bucket_name), new.dataset, new.manifest, parts=parts)
    assert read_as_a_reader() == new.manifest


def test_a_removal_that_is_cut_off_leaves_a_run_without_manifest_and_is_completed_later(
    new_s3_client, s3_client, make_run, read_as_a_reader, bucket_name
):
    """Kill it at the k-th request for every k: a reader that finds a manifest finds its files."""
    bucket, undisturbed = Bucket(new_s3_client, bucket_name), Bucket(s3_client, bucket_name)
    old, new = make_run(1), make_run(2)
    publish(undisturbed, old.dataset, old.manifest)
    before = _objects(undisturbed)
    publish(undisturbed, new.dataset, new.manifest)
    killer = Killer(new_s3_client)
    for number in range(1, len(before) + 2):
        run, newer = published_runs(undisturbed, "weibo_user_profiles")
        assert (run.is_whole, len(run.keys)) == (True, 5)
        killer.kill_at(number)
        try:
            run.remove(bucket)
        except Killed:
            (rest, _) = published_runs(undisturbed, "weibo_user_profiles")
            assert (rest.is_whole, len(rest.keys)) == (number == 1, 6 - number)
            rest.remove(undisturbed)
        else:
            break
        assert published_runs(undisturbed, "weibo_user_profiles") == [newer]
        for key, content in before.items():
            if not key.endswith("latest.json"):
                s3_client.put_object(Bucket=bucket_name, Key=key, **content)
    assert number == 6, "it is killed at each of its requests"
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
