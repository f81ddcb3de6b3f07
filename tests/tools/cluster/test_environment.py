"""The .env file of the cluster."""

from __future__ import annotations

import stat

import pytest

from fanfold.cluster import environment
from fanfold.errors import BadConfiguration


def test_a_new_file_has_its_own_secrets_and_only_its_owner_can_read_it(tmp_path):
    path, other = tmp_path / ".env", environment.ensure(tmp_path / "other")
    made = environment.ensure(path, {"FANFOLD_PORT": "9"})
    secrets = {made[name] for name in environment.SECRETS}
    assert len(secrets | {other[name] for name in environment.SECRETS}) == 2 * len(secrets)
    assert min(map(len, secrets)) >= 19
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert environment.read(path) == made
    assert made["FANFOLD_PORT"] == "9"
    assert {each.name for each in tmp_path.iterdir()} == {".env", "other"}


def test_existing_values_are_kept_and_missing_secrets_are_added(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# mine\nREDIS_PASSWORD=mine", encoding="utf-8")
    path.chmod(0o644)
    made = environment.ensure(path)
    assert made["REDIS_PASSWORD"] == "mine"
    assert set(environment.SECRETS) == set(made)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert environment.ensure(path) == made
    environment.change(path, {"REDIS_PASSWORD": "new", "FANFOLD_VERSION": "2"})
    assert environment.read(path) == {**made, "REDIS_PASSWORD": "new", "FANFOLD_VERSION": "2"}
    assert path.read_text("utf-8").startswith("# mine\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [("REDIS_PASSWORD=\n", "REDIS_PASSWORD is empty"), ("# a\n\nREDIS_PASSWORD\n", "line 3")],
)
def test_an_invalid_line_is_reported(tmp_path, text, message):
    path = tmp_path / ".env"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadConfiguration, match=message):
        environment.ensure(path)
