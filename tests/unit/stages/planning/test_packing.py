"""Files are packed into batches by number and by bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from fanfold.stages.planning.packing import BATCH_BYTES, MOST_BATCHES, batch_size_for, pack

SIZES = st.lists(
    st.integers(0, 2_000) | st.integers(0, 2 * BATCH_BYTES) | st.integers(0, 50 * BATCH_BYTES),
    max_size=60,
)


@given(SIZES, st.sampled_from([1, 7, 50]), st.none() | st.integers(10, 100))
@example([BATCH_BYTES + 1], 1000, None)
@example([BATCH_BYTES // 2, 3 * BATCH_BYTES], 1000, 1)
def test_batches_are_complete_bounded_and_no_more_than_airflow_maps_over(sizes, times, wanted):
    sizes = sizes * times
    most = batch_size_for(
        len(sizes), max(wanted, len(sizes) // MOST_BATCHES + 1) if wanted else None
    )
    starts = pack(sizes, most)
    assert len(starts) <= MOST_BATCHES
    edges = [*starts, len(sizes)]
    assert edges[0] == 0
    batches = [sizes[first:end] for first, end in pairwise(edges)]
    assert all(batches)
    assert sum(map(len, batches)) == len(sizes)
    assert max(map(len, batches), default=0) <= most
    largest = max((sum(batch) for batch in batches if len(batch) > 1), default=0)
    if sum(sizes) <= BATCH_BYTES * MOST_BATCHES // 4:
        assert largest <= BATCH_BYTES
    assert largest <= max(BATCH_BYTES, 4 * sum(sizes) // MOST_BATCHES)


def test_small_files_are_packed_and_a_large_one_is_alone():
    small = [1_000] * 100
    starts = pack([*small, 3 * BATCH_BYTES, *small], batch_size_for(201))
    assert starts == (0, 50, 100, 101, 151)


def test_a_hundred_thousand_small_files_are_40_batches():
    assert len(pack([1_000] * 100_000, batch_size_for(100_000))) == 40
