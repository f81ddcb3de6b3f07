"""What a run's page says of the run before is what a dict says, whatever the shares."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fanfold.errors import Inconsistent
from fanfold.stages import comparing
from fanfold.stages.comparing import SHOWN, Change, Comparison, Side, compare
from fanfold.stages.processing.contract import SCHEMA
from fanfold.workspace.files import read_json, write_json

TOLD = {"previous": "scheduled__2026-07-27", "previous_date": "2026-07-27T00:00:00.000Z"}

HOSTILE = (
    "<script>alert(1)</script>",
    "\u202eevil\u202c name",
    "nul\x00bell\x07tab\tline\nend",
    "\u200b\u200b\u200d",
    "=HYPERLINK(1)",
    "../../etc/passwd",
    "'; DROP TABLE user_profiles; --",
    "小明🎉的微博",
    "\ufffe\uffff\ue000",
    "",
)
IDS = st.one_of(
    st.integers(0, 30).map(str),
    st.sampled_from(HOSTILE[:-1]),
    # Half a surrogate pair is no text that Parquet holds.
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
)
USERS = st.dictionaries(
    IDS,
    st.tuples(st.sampled_from(HOSTILE), st.one_of(st.integers(0, 3), st.integers(0, 10**12))),
    max_size=60,
)


def column(field, rows):
    """What nothing is said of is empty, or the same for all."""
    if field.nullable:
        return pa.nulls(rows, field.type)
    return pa.array([{"string": "weibo", "bool": False}.get(str(field.type), 0)] * rows, field.type)


def write(path, users, **options):
    """Write a dataset of {user id: (screen name, followers)}; return its path."""
    given = {
        "user_id": list(users),
        "screen_name": [name for name, _ in users.values()],
        "followers_count": [followers for _, followers in users.values()],
    }
    arrays = [
        pa.array(given[field.name], field.type)
        if field.name in given
        else column(field, len(users))
        for field in SCHEMA
    ]
    pq.write_table(pa.table(arrays, schema=SCHEMA), path, **options)
    return path


def expected(now, then):
    """Compare two dicts as plainly as it can be said."""

    def side(users, others):
        only = sorted((-users[key][1], key) for key in users.keys() - others.keys())
        return Side(len(only), tuple((key, users[key][0]) for _, key in only[:SHOWN]))

    changes = sorted(
        (-abs(now[key][1] - then[key][1]), key)
        for key in now.keys() & then.keys()
        if now[key][1] != then[key][1]
    )
    return Comparison(
        **TOLD,
        both=len(now.keys() & then.keys()),
        new=side(now, then),
        gone=side(then, now),
        changed=len(changes),
        most_changed=tuple(
            Change(key, now[key][0], then[key][1], now[key][1]) for _, key in changes[:SHOWN]
        ),
    )


@pytest.fixture
def compared(tmp_path):
    """Compare two dicts of users through their files."""

    def call(now, then, **options):
        return compare(
            write(tmp_path / "now.parquet", now, **options),
            write(tmp_path / "then.parquet", then, **options),
            **TOLD,
        )

    return call


@given(
    now=USERS,
    then=USERS,
    share=st.integers(1, 70),
    batch=st.integers(1, 70),
    group=st.integers(1, 70),
)
@example(
    now={str(key): ("a", 5) for key in range(30)},
    then={str(key): ("b", 5) for key in range(100, 130)},
    share=7,
    batch=9,
    group=4,
)
def test_a_comparison_equals_that_of_dicts_for_any_shares(now, then, share, batch, group):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "_SHARE_ROWS", share)
        patch.setattr(comparing, "_BATCH_ROWS", batch)
        files = (
            write(Path(folder) / "now.parquet", now, row_group_size=group),
            write(Path(folder) / "then.parquet", then, row_group_size=group),
        )
        assert compare(*files, **TOLD) == expected(now, then)


def test_a_share_of_the_rows_is_read_at_a_time(compared, tmp_path, monkeypatch):
    """Each row is in one share; consecutive ids are spread over the shares."""
    now = {str(10**9 + key): (f"用户{key}", key * 31 % 1000) for key in range(1000)}
    then = {str(10**9 + key): (f"用户{key}", key * 37 % 1000) for key in range(500, 3500)}
    sizes = []
    read = comparing._read

    def counting(path):
        made = read(path)
        sizes.append(made.num_rows)
        return made

    monkeypatch.setattr(comparing, "_SHARE_ROWS", 300)
    monkeypatch.setattr(comparing, "_read", counting)
    assert compared(now, then) == expected(now, then)
    assert (len(sizes), sum(sizes)) == (20, 4000)
    assert max(sizes) < 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["now.parquet", "then.parquet"]


def test_a_comparison_is_read_back_with_hostile_text(compared, tmp_path):
    users = {name or "x": (name, number) for number, name in enumerate(HOSTILE)}
    then = {key: ("x", number + 1) for key, (_, number) in users.items()}
    for made in (compared(users, {}), compared(users, then)):
        write_json(tmp_path / "comparing.json", asdict(made))
        assert read_json(tmp_path / "comparing.json") == json.loads(json.dumps(asdict(made)))


def pages_of_zeros(path):
    """What is known of the rows is whole, the rows are not."""
    whole = path.read_bytes()
    path.write_bytes(b"PAR1" + bytes(len(whole) // 2) + whole[len(whole) // 2 + 4 :])


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PAR1 no parquet PAR1"),
        pages_of_zeros,
    ],
    ids=["missing", "empty", "no Parquet", "pages of zeros"],
)
@pytest.mark.parametrize(
    ("spoiled", "remedy"),
    [
        ("now", "Clear `consolidate` with its downstream tasks"),
        ("then", "Clear `consolidate` of the run scheduled__2026-07-27"),
    ],
)
def test_a_file_that_is_no_dataset_is_named_with_its_remedy(tmp_path, spoiled, spoil, remedy):
    users = {str(key): ("x", key) for key in range(5000)}
    paths = {name: write(tmp_path / f"{name}.parquet", users) for name in ("now", "then")}
    spoil(paths[spoiled])
    with pytest.raises(Inconsistent, match=rf"(?s)dataset {paths[spoiled]} .*{remedy}"):
        compare(paths["now"], paths["then"], **TOLD)
