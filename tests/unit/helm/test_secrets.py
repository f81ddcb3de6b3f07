"""config/helm/values.yaml names secrets and holds none."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[3] / "config" / "helm" / "values.yaml").read_text("utf-8")
SECRET = re.compile(r"password|secret|token|credential|fernet|conn|url|(?<!r)key", re.IGNORECASE)
A_NAME = re.compile(r"fanfold-[a-z-]+")


def leaves(value, path=""):
    """Yield each value that is no container, with its path."""
    if not isinstance(value, dict | list):
        yield path, value
        return
    for name, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(child, f"{path}.{name}".lstrip("."))


def exposed(values):
    """Yield the paths of what may be a secret: neither a name of one, nor a key in it."""
    allowed = ("SecretName", "secretKeyRef.name", "secretKeyRef.key", "configSecretName")
    for path, value in leaves(values):
        if path.startswith(("config.", "statsd.overrideMappings.")):
            continue
        last = path.rpartition(".")[2]
        named = str(value) if last == "name" and ".env." in f".{path}" else ""
        if path.endswith(allowed):
            if last != "key" and not A_NAME.fullmatch(str(value)):
                yield path
        elif isinstance(value, str) and (SECRET.search(last) or re.search(r"://[^/]*@", value)):
            yield path
        elif SECRET.search(named):
            entry = values
            for step in path.split(".")[:-1]:
                entry = entry[int(step)] if isinstance(entry, list) else entry[step]
            if "secretKeyRef" not in entry.get("valueFrom", {}):
                yield path


def test_no_secret_is_in_it(values):
    assert list(exposed(values)) == []
    for password in re.findall(r"://[^\s:/]*:([^\s@]+)@", TEXT):
        assert password == "PASSWORD"
    assert not {"postgresql.auth", "data.metadataConnection"} & {
        f"{a}.{b}" for a, below in values.items() if isinstance(below, dict) for b in below
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("fernetKey", "Zm9v"),
        ("jwtSecret", "Zm9v"),
        ("data.brokerUrl", "redis://h"),
        ("fernetKeySecretName", "Zm9vYmFyCg=="),
        ("images.airflow.repository", "https://me:letmein@registry.example/fanfold"),
    ],
)
def test_a_secret_would_be_found(values, change, path, value):
    change(values, path, value)
    assert list(exposed(values)) == [path]


def test_a_secret_in_a_variable_would_be_found(values):
    values["env"].append({"name": "AIRFLOW_ADMIN_PASSWORD", "value": "letmein"})
    assert list(exposed(values)) == [f"env.{len(values['env']) - 1}.name"]
