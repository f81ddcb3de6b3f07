"""Patterns of file URIs, and the prefixes that they are listed by."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.errors import BadInput
from fanfold.readers.patterns import Pattern, Window, window_of

B = "s3://b/"


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("o/*.csv", ["o/a.csv", "o/.csv"], ["o/a/b.csv", "o/a.csv.gz", "x/o/a.csv", "o/a_csv"]),
        ("o/?[0-9].csv", ["o/a1.csv", "o/é1.csv"], ["o/1.csv", "o/ab.csv", "o//1.csv"]),
        ("o[!a-c]1", ["od1"], ["ob1", "o/1", "o1"]),
        ("o/[]x]", ["o/]", "o/x"], ["o/a"]),
        ("o/[[]a*", ["o/[a]"], ["o/a"]),
        ("o/**", ["o/a", "o/a/b/c", "o/line\nbreak"], ["o", "oa"]),
        ("o/", ["o/a", "o/a/b"], ["oa"]),
        ("o/**/x.csv", ["o/x.csv", "o/a/b/x.csv"], ["o/ax.csv", "o/a/x.csv/b"]),
        ("o/a**b", ["o/ab", "o/a/b", "o/axx/yb"], ["o/a/bc"]),
        ("a.b (1)+/*{x", ["a.b (1)+/9{x"], ["aXb (1)+/9{x", "a.b (1)+/9x"]),
    ],
)
def test_wildcards_match_within_a_folder_and_double_stars_across(pattern, matching, others):
    made = Pattern(B + pattern)
    assert {uri: made.match(B + uri) for uri in (*matching, *others)} == {
        **dict.fromkeys(matching, ""),
        **dict.fromkeys(others),
    }


@pytest.mark.parametrize(
    ("pattern", "uri", "day"),
    [
        ("o/{date}/*.csv", "o/2026-07-01/a.csv", "2026-07-01"),
        ("o/{date}/*.csv", "o/2026-02-30/a.csv", None),
        ("o/{date}/*.csv", "o/٢٠٢٦-07-01/a.csv", None),
        ("{date:%Y/%m/%d}/*", "2026/07/01/a", "2026-07-01"),
        ("y=%Y/{date:y=%Y/m=%m}/{date:%Y%m%d}.gz", "y=%Y/y=2026/m=07/20260701.gz", "2026-07-01"),
        ("y=%Y/{date:y=%Y/m=%m}/{date:%Y%m%d}.gz", "y=%Y/y=2026/m=07/20260801.gz", None),
        ("**/*-{date:%Y%m%d}.gz", "x/y-1-20260301.gz", "2026-03-01"),
    ],
)
def test_the_date_of_a_file_is_read_in_the_form_that_its_pattern_has(pattern, uri, day):
    assert Pattern(B + pattern).match(B + uri) == day


DAYS = st.integers(0, 800).map(lambda days: date(2025, 1, 1) + timedelta(days))
FORMS = ["{date}", "{date:%d.%m.%Y}", "{date:%Y/%m/%d}", "{date:%m}/{date:%Y-%m-%d}", "*/{date}"]


@given(st.sampled_from(FORMS), st.sampled_from(["", "a"]), st.lists(DAYS, max_size=40), DAYS, DAYS)
def test_listing_a_prefix_for_each_date_finds_the_files_of_the_window_once_and_sorted(
    form, before, days, first, last
):
    pattern = Pattern(f"{B}o/{before}{form}*")
    place = form.replace("{date}", "{date:%Y-%m-%d}").replace("*", "x").replace("{date:", "{0:")
    there = sorted(
        {f"{B}o/{before}{place.format(day)}{end}" for day in days for end in ("", ".csv")}
    )
    found = []
    for prefix in pattern.prefixes(Window(first, last)):
        assert prefix.startswith(f"{B}o/{before}")
        found += [uri for uri in there if uri.startswith(prefix)]
    inside = [uri for uri in found if Window(first, last).includes(pattern.match(uri))]
    assert found == sorted(set(found))
    expected = [uri for uri in there if first <= date.fromisoformat(pattern.match(uri)) <= last]
    assert inside == expected
    if "*/" not in form and first <= last:
        assert inside == found  # nothing else was listed


def test_without_a_first_date_the_text_before_the_date_is_listed():
    window = Window(None, date(2026, 7, 2))
    assert Pattern(f"{B}o/x-{{date}}/*").prefixes(window) == [f"{B}o/x-"]
    assert window.includes("1999-01-01")
    assert not window.includes("2026-07-03")


def test_a_date_after_a_wildcard_is_listed_once():
    window = Window(date(2026, 7, 1), date(2026, 7, 9))
    assert Pattern(f"{B}shop-*/{{date}}.csv").prefixes(window) == [f"{B}shop-"]
    assert Pattern("file:///data/[ab]/x").prefixes(window) == ["file:///data/"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://b*/x", "must begin with s3://bucket/"),
        ("s3://{date}/x", "must begin with s3://bucket/"),
        ("https://b/*", "must begin with s3://bucket/"),
        ("orders/*.csv", "must begin with s3://bucket/"),
        ("s3://b/{date:%Y-%m}.csv", "needs a date with year"),
        ("s3://b/{date:%Y-%m-%d-%H}.csv", "needs a date with year"),
        ("s3://b/{date:%Y-%m-%d%%}.csv", "needs a date with year"),
        ("s3://b/{date:today}.csv", "needs a date with year"),
        ("s3://b/{dates}/*", "has {dates}; the only field is {date}"),
        ("s3://b/{date}/{a,b}.csv", "has {a,b}; the only field is {date}"),
    ],
)
def test_a_pattern_that_cannot_be_listed_is_refused(text, said):
    assert Pattern.is_pattern(text)
    with pytest.raises(BadInput, match=said):
        Pattern(text)


def test_a_uri_without_wildcards_is_one_file():
    assert not Pattern.is_pattern("s3://b/o/{x} [1.csv")
    assert Pattern.is_pattern("s3://b/o/")


@pytest.mark.parametrize(
    ("mode", "listed", "first"),
    [
        ("snapshot", None, date(2026, 7, 2)),
        ("merge", None, None),
        ("merge", date(2026, 7, 2), date(2026, 6, 30)),
        # A run of an earlier date than the last one.
        ("merge", date(2026, 8, 2), date(2026, 7, 2)),
    ],
)
def test_a_run_reads_the_dates_since_the_last_one_and_a_lag_before(mode, listed, first):
    moment = datetime(2026, 7, 4, 23, 30, tzinfo=UTC)
    window = window_of(moment, 2, mode=mode, listed=listed)
    assert window == Window(first, date(2026, 7, 4))
    begin = datetime(1, 1, 2, tzinfo=UTC)
    assert window_of(begin, 3660, mode="snapshot", listed=None) == Window(date.min, date(1, 1, 2))
