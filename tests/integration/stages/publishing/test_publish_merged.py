"""Publish a merged dataset to a real S3 server: it replaces the dataset that it was merged into only."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from fanfold.stages.publishing import latest_key, publish, read_latest
from fanfold.storage.objects import Bucket
from fanfold.storage.published import read_published


@pytest.fixture
def make_merged(make_run):
    """Return a function that makes a run of a day that was merged into a base."""

    def make(day, base=None, **given):
        run = make_run(day, **given)
        digest = hashlib.sha256(base.manifest.document()).hexdigest() if base else ""
        return replace(run, manifest=replace(run.manifest, mode="merge", base=digest))

    return make


def latest_run(bucket):
    return read_latest(bucket, latest_key("weibo_user_profiles")).run_id


@pytest.mark.parametrize("days", [(2, 3), (3, 2)], ids=["earlier first", "later first"])
def test_of_two_runs_with_one_base_the_second_has_to_merge_again_whatever_the_dates(
    bucket, make_merged, read_as_a_reader, days
):
    base = make_merged(1)
    assert publish(bucket, base.dataset, base.manifest).latest_moved
    first, second = (make_merged(day, base) for day in days)
    assert publish(bucket, first.dataset, first.manifest).latest_moved
    refused = publish(bucket, second.dataset, second.manifest)
    assert (refused.outdated, refused.latest_moved, refused.objects) == (True, False, ())
    assert read_as_a_reader() == first.manifest
    again = make_merged(days[1], first)
    assert publish(bucket, again.dataset, again.manifest).latest_moved
    assert publish(bucket, again.dataset, again.manifest).latest_moved  # as after a kill
    assert read_as_a_reader() == again.manifest


@pytest.mark.parametrize("redriven", [False, True], ids=["another run", "the run again"])
def test_a_run_that_is_overtaken_while_it_uploads_does_not_move_latest(
    s3_client, new_s3_client, bucket_name, make_merged, redriven
):
    """The other one is published just before ``latest.json`` is written."""
    base = make_merged(1)
    bucket, other = Bucket(new_s3_client, bucket_name), Bucket(s3_client, bucket_name)
    publish(other, base.dataset, base.manifest)
    slow = make_merged(1, base, content=b"more") if redriven else make_merged(2, base)
    quick = make_merged(3, base)
    overtaken = []

    def overtake(params, **_):
        if params["Key"].endswith("/latest.json") and not overtaken:
            overtaken.append(publish(other, quick.dataset, quick.manifest).latest_moved)

    new_s3_client.meta.events.register("before-parameter-build.s3.PutObject", overtake)
    result = publish(bucket, slow.dataset, slow.manifest)
    assert overtaken == [True]
    assert (result.outdated, result.latest_moved) == (True, False)
    assert latest_run(bucket) == quick.manifest.run_id


def test_the_base_is_read_whole_or_not_at_all(bucket, make_merged, tmp_path):
    assert read_published(bucket, "weibo_user_profiles") is None
    base = make_merged(1)
    publish(bucket, base.dataset, base.manifest)
    # A redrive of the published run goes over its own dataset.
    more = make_merged(1, base, content=b"more rows")
    assert publish(bucket, more.dataset, more.manifest).latest_moved
    published = read_published(bucket, "weibo_user_profiles")
    assert published.manifest == more.manifest
    assert published.sha256 == hashlib.sha256(more.manifest.document()).hexdigest()
    entry = more.manifest.files[0]
    content = published.download(entry, tmp_path / "rows").read_bytes()
    assert content == (more.dataset / entry.key).read_bytes()
