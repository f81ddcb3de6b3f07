"""Quartiles found in passes are those that pandas finds at once."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fanfold.stages.reporting.ranks import quartiles_of_counts, quartiles_of_rates

QUARTERS = [0.25, 0.5, 0.75]


def chunks(values, size):
    return lambda: (values[start : start + size] for start in range(0, len(values), size))


@given(
    st.lists(st.integers(0, 2**52) | st.integers(0, 70_000), min_size=1, max_size=80),
    st.integers(1, 90),
)
def test_counts(numbers, size):
    values = np.array(numbers, np.int64)
    found = quartiles_of_counts(chunks(values, size), len(values), max(numbers))
    np.testing.assert_allclose(found, pd.Series(values).quantile(QUARTERS), rtol=1e-12, atol=1e-300)


@given(
    st.lists(st.floats(0, 1e12) | st.sampled_from([0.0, -0.0, 0.5]), min_size=1, max_size=80),
    st.integers(1, 90),
)
def test_rates(numbers, size):
    values = np.array(numbers)
    found = quartiles_of_rates(chunks(values, size), len(values))
    np.testing.assert_allclose(found, pd.Series(values).quantile(QUARTERS), rtol=1e-12, atol=1e-300)


def test_small_numbers_take_one_pass():
    passes = []

    def read():
        passes.append(1)
        return [np.arange(101, dtype=np.int64)]

    assert quartiles_of_counts(read, 101, 100) == (25, 50, 75)
    assert len(passes) == 1
