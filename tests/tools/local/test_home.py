import json
import os

import pytest

from fanfold.errors import BadConfiguration
from fanfold.local.home import Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def test_each_folder_keeps_its_own_secrets(home, tmp_path):
    first, second = home.prepare(), Home(tmp_path / "b").prepare()
    assert home.prepare() == first
    assert first.admin_password != second.admin_password
    assert first.fernet_key != second.fernet_key


def test_nobody_else_can_read_the_secrets(home):
    home.prepare()
    assert home.root.stat().st_mode & 0o777 == 0o700
    for path in (home.root / "secrets.json", home.passwords, home.source_token):
        assert path.stat().st_mode & 0o777 == 0o600, path


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711])
def test_a_folder_that_others_can_read_is_closed_to_them(home, mode):
    home.root.mkdir()
    home.root.chmod(mode)
    home.prepare()
    assert home.root.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_have_prepared_is_refused(home, monkeypatch):
    home.root.mkdir()
    for mode in (0o777, 0o1777, 0o770):
        home.root.chmod(mode)
        with pytest.raises(BadConfiguration, match="its content cannot be trusted"):
            home.prepare()
    home.root.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: home.root.stat().st_uid + 1)
    with pytest.raises(BadConfiguration, match="belongs to another user"):
        home.prepare()
    assert not list(home.root.iterdir())


def test_others_cannot_exchange_the_folder_through_one_above_it(tmp_path):
    old = os.umask(0)
    try:
        Home(tmp_path / "new" / "home").prepare()
    finally:
        os.umask(old)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link to another user")
def test_a_link_of_another_user_is_refused(home):
    home.prepare()
    link = home.root.with_name("link")
    link.symlink_to(home.root)
    Home(link).check()
    os.chown(link, 12345, -1, follow_symlinks=False)
    with pytest.raises(BadConfiguration, match="belongs to another user"):
        Home(link).check()


@pytest.mark.parametrize("kind", ["file", "loop", "below a file"])
def test_what_is_no_folder_is_refused(tmp_path, kind):
    path = tmp_path / "home"
    if kind == "loop":
        path.symlink_to(path)
    else:
        path.touch(0o644)
    with pytest.raises(BadConfiguration, match=r"cannot be used .*set FANFOLD_HOME"):
        Home(path / "x" if kind == "below a file" else path).check()
    assert kind == "loop" or path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("name", "said"), [("n" * 200, "more than 300 bytes"), ("100%", "contains '%'")]
)
def test_a_path_below_which_sqlite_or_airflow_find_no_file_is_refused(tmp_path, name, said):
    with pytest.raises(BadConfiguration, match=f"{said}.*set FANFOLD_HOME"):
        Home(tmp_path / name / ("n" * 100)).check()


def test_airflow_finds_the_password_in_its_file(home):
    found = home.prepare()
    assert json.loads(home.passwords.read_text()) == {"admin": found.admin_password}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"fernet_key": "a"}'])
def test_a_damaged_secrets_file_is_named_with_the_way_out(home, text):
    home.prepare()
    (home.root / "secrets.json").write_text(text)
    with pytest.raises(BadConfiguration, match=r"secrets\.json is damaged; `make clean`"):
        home.prepare()
