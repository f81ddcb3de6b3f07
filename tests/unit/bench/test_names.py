"""The benches' modules are found by bare names, which must be nobody else's."""

from __future__ import annotations

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

BENCH = Path(__file__).resolve().parents[3] / "bench"


def test_no_module_is_named_like_a_package_that_may_be_imported_before_it():
    ours = {path.stem for path in BENCH.rglob("*.py")}
    assert "simulation" in ours
    assert ours & (set(packages_distributions()) | sys.stdlib_module_names) == set()
