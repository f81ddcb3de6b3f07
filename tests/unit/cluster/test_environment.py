import stat

import pytest

from fanfold.cluster import environment
from fanfold.errors import BadConfiguration


def test_a_fresh_file_has_every_secret_and_is_its_owners_alone(tmp_path):
    path = tmp_path / ".env"
    made = environment.ensure(path)
    assert all(len(made[name]) >= 19 for name in environment.SECRETS)
    assert len({made[name] for name in environment.SECRETS}) == len(environment.SECRETS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [".env"]


def test_two_clusters_share_no_secret(tmp_path):
    one = environment.ensure(tmp_path / "one")
    other = environment.ensure(tmp_path / "other")
    assert not [name for name in environment.SECRETS if one[name] == other[name]]


def test_secrets_that_are_there_stay_and_missing_ones_are_added(tmp_path):
    path = tmp_path / ".env"
    path.write_text("REDIS_PASSWORD=mine", encoding="utf-8")
    path.chmod(0o644)
    made = environment.ensure(path)
    assert made["REDIS_PASSWORD"] == "mine"
    assert set(environment.SECRETS) <= set(made)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert environment.ensure(path) == made


def test_an_empty_secret_is_named(tmp_path):
    path = tmp_path / ".env"
    path.write_text("REDIS_PASSWORD=\n", encoding="utf-8")
    with pytest.raises(BadConfiguration, match="REDIS_PASSWORD is empty"):
        environment.ensure(path)


def test_a_line_that_is_no_variable_is_named(tmp_path):
    path = tmp_path / ".env"
    path.write_text("# fine\n\nREDIS_PASSWORD\n", encoding="utf-8")
    with pytest.raises(BadConfiguration, match="line 3"):
        environment.read(path)


def test_quotes_are_no_part_of_a_value(tmp_path):
    path = tmp_path / ".env"
    path.write_text('A="one"\nB=\'two\'\nC=th"ree\nD=\n', encoding="utf-8")
    assert environment.read(path) == {"A": "one", "B": "two", "C": 'th"ree', "D": ""}


def test_a_change_leaves_everything_else(tmp_path):
    path = tmp_path / ".env"
    before = environment.ensure(path)
    environment.change(path, {"FANFOLD_VERSION": "2", "FANFOLD_PORT": "9"})
    assert environment.read(path) == {**before, "FANFOLD_VERSION": "2", "FANFOLD_PORT": "9"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text("utf-8").startswith("# Written by")
