import pytest

from fanfold.local.commands import parse


@pytest.mark.parametrize("text", ["0", "-1", "many", "", "1e3", "10000001"])
def test_a_number_of_users_that_makes_no_sense_is_refused_by_name(text, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(["run", f"--users={text}"])
    assert caught.value.code == 2
    assert f"USERS must be from 1 to 10000000, not {text!r}" in capsys.readouterr().err
