import pytest

from fanfold.local.commands import main


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *(
            (["run", f"--users={text}"], f"USERS must be from 1 to 10000000, not {text!r}.")
            for text in ("0", "-1", "many", "", "1e3", "10000001", "١")
        ),
        (["run", "--items=1", "--users=2"], "Set ITEMS or USERS, not both."),
        (["up", "--port=80"], "PORT must be from 1024 to 32000, not '80'."),
        (["airflow"], 'Set ARGS, such as `make airflow ARGS="dags list"`.'),
        (["airflow", '--arguments=dags "list'], 'ARGS=dags "list: No closing quotation.'),
        (
            ["airflow", "--arguments=dags list"],
            "{home} has no database of Airflow yet: `make up` creates it.",
        ),
        (["fly"], "argument command: invalid choice: 'fly'"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("FANFOLD_HOME", str(tmp_path))
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said.replace("{home}", str(tmp_path)))
    assert err.count("\n") == 1, "nothing else, such as the usage"
