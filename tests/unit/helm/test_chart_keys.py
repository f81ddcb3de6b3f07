"""scripts/chart-keys: the keys of a chart, and their types."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "chart-keys"


def test_keys_types_lists_and_shared_definitions_are_named(tmp_path):
    (tmp_path / "Chart.yaml").write_text("name: x\nversion: 1.2.3\nappVersion: 9\n")
    schema = {
        "properties": {
            "port": {"type": ["integer", "null"], "description": "secret sauce"},
            "labels": {"type": "object", "default": {}},
            "empty": {"type": "object", "additionalProperties": False},
            "settings": {"type": "object", "additionalProperties": {"type": "string"}},
            "env": {"type": "array", "items": {"properties": {"name": {"type": "string"}}}},
            "probe": {"$ref": "#/definitions/io.k8s.Probe"},
        },
        "definitions": {
            "io.k8s.Probe": {"properties": {"after": {"$ref": "#/definitions/io.k8s.Time"}}},
            "io.k8s.Time": {"type": "string"},
            "io.k8s.Unused": {"type": "string"},
        },
    }
    (tmp_path / "values.schema.json").write_text(json.dumps(schema))
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "# apache/airflow chart 1.2.3, by scripts/chart-keys",
        "port integer,null",
        "labels object,open",
        "empty object",
        "settings object",
        "settings.* string",
        "env array",
        "env[] any",
        "env[].name string",
        "probe @Probe",
        "@Probe any",
        "@Probe.after @Time",
        "@Time string",
    ]


def test_without_a_chart_it_says_how_it_is_used():
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "helm pull" in done.stderr
