from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def values():
    return yaml.safe_load((REPOSITORY / "config" / "helm" / "values.yaml").read_text("utf-8"))


@pytest.fixture
def change():
    """Set a value by its path; numbers are places in lists."""

    def to(values, path, value):
        *above, last = path.split(".")
        for name in above:
            values = values[int(name) if name.isdigit() else name]
        values[last] = value

    return to
