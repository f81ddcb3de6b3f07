"""Environment variables: defaults, and wrong values named with their key."""

import pytest

from fanfold.airflow.settings import files_allowed
from fanfold.errors import BadConfiguration


def test_files_of_the_own_bucket_are_allowed_by_default():
    assert files_allowed({"FANFOLD_BUCKET": "b", "FANFOLD_FILES_ALLOWED": " "}) == ("s3://b/",)


def test_prefixes_of_files_are_separated_by_blanks_and_commas():
    value = "s3://a/, s3://b/exports/\n file:///data/drops/"
    allowed = ("s3://a/", "s3://b/exports/", "file:///data/drops/")
    assert files_allowed({"FANFOLD_FILES_ALLOWED": value}) == allowed
    shared = {"FANFOLD_SHARED_DIR": "/data/my shared"}
    inputs = "file:///data/my shared/inputs/"
    assert files_allowed({"FANFOLD_FILES_ALLOWED": value, **shared}) == (*allowed, inputs)
    assert files_allowed({"FANFOLD_BUCKET": "b", **shared}) == ("s3://b/", inputs)


@pytest.mark.parametrize("prefix", ["s3://a", "s3:///", "s3://a/x", "file://data/", "/data/", "a/"])
def test_a_prefix_that_allows_more_than_it_seems_to_is_refused(prefix):
    with pytest.raises(BadConfiguration, match=r"FANFOLD_FILES_ALLOWED .*must look like"):
        files_allowed({"FANFOLD_FILES_ALLOWED": f"s3://b/ {prefix}"})
