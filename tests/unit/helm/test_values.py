"""config/helm/values.yaml: what the chart knows, and what the rest of the repository says."""

import copy
import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
TEXT = (REPOSITORY / "config" / "helm" / "values.yaml").read_text("utf-8")
HEADER, *LINES = (Path(__file__).parent / "chart_keys.txt").read_text("utf-8").splitlines()
KEYS = dict(line.split(" ") for line in LINES)
KINDS = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "object": dict,
    "open": dict,
    "string": str,
}
LIMITS = {("core", "parallelism"), ("core", "max_active_tasks_per_dag")}
"""Settings that follow from the number of workers."""
GIVEN = {
    ("core", "executor"): "values: executor",
    ("core", "execution_api_server_url"): "the chart: its own service",
    ("metrics", "statsd_on"): "on, since the chart starts a receiver",
    ("metrics", "statsd_host"): "the chart: its own service",
    ("metrics", "statsd_port"): "the chart: its own service",
}
"""Settings of config/cluster.env that are another's matter here."""


def read(name):
    return (REPOSITORY / name).read_text("utf-8")


def setting(name):
    found = re.search(rf"^{name}=(.*)$", read("config/cluster.env"), re.MULTILINE)
    return found[1]


# --- against the chart ----------------------------------------------------------------------------


def faults(value, path=""):
    """Yield what the chart does not document: keys it does not know, values of another type."""
    known = KEYS.get(path, "object" if not path else None)
    if known is None:
        yield f"{path} is no key of the chart"
        return
    if known.startswith("@"):
        yield from faults(value, known)
        return
    types = known.split(",")
    fits = any(isinstance(value, KINDS[each]) for each in types if each != "any")
    if types != ["any"] and (not fits or (isinstance(value, bool) and "boolean" not in types)):
        yield f"{path} is {type(value).__name__}, not {known}"
    elif isinstance(value, dict) and "open" not in types:
        for name, child in value.items():
            below = f"{path}.{name}".lstrip(".")
            any_name = f"{path}.*"
            yield from faults(child, any_name if below not in KEYS and any_name in KEYS else below)
    elif isinstance(value, list) and path + "[]" in KEYS:
        for child in value:
            yield from faults(child, path + "[]")


def test_each_key_is_documented_by_the_chart_and_has_its_type(values):
    assert list(faults(values)) == []


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("schedulr", {}, "schedulr is no key"),
        ("scheduler.replica", 2, "scheduler.replica is no key"),
        ("scheduler.replicas", "2", "scheduler.replicas is str"),
        ("scheduler.replicas", True, "scheduler.replicas is bool"),
        ("workers.celery.keda.maxReplicas", 8, "workers.celery.keda.maxReplicas is no key"),
        ("workers.celery.env.0.valuesFrom", {}, "workers.celery.env[].valuesFrom is no key"),
        ("workers.celery.extraVolumes.0.persistentVolumeClaim.name", "x", "Source.name is no key"),
        ("securityContexts.pod.runAsUser", "root", "@PodSecurityContext.runAsUser is str"),
        ("config.core.parallelism", [], "config.*.* is list"),
    ],
)
def test_a_typo_or_a_wrong_type_is_found(values, change, path, value, told):
    wrong = copy.deepcopy(values)
    change(wrong, path, value)
    assert any(told in fault for fault in faults(wrong)), list(faults(wrong))


def test_the_chart_is_the_version_that_is_installed():
    installed = re.search(r"--version (\S+)", TEXT)
    assert f"chart {installed[1]}," in HEADER


# --- against the rest of the repository --------------------------------------------------------------


def test_settings_are_those_of_the_compose_cluster(values):
    """Another value in one of the two files is a mistake, unless GIVEN or LIMITS says why."""
    found = re.findall(
        r"^AIRFLOW__([A-Z_]+?)__([A-Z_]+)=(.*)$", read("config/cluster.env"), re.MULTILINE
    )
    compose = {(section.lower(), name.lower()): value for section, name, value in found}
    ours = {
        (section, name): str(value)
        for section, settings in values["config"].items()
        for name, value in settings.items()
    }
    other = set(GIVEN) | LIMITS
    assert {k: v for k, v in ours.items() if k not in other} == {
        k: v for k, v in compose.items() if k not in other
    }
    assert set(ours) >= LIMITS


def test_variables_are_those_of_the_compose_cluster(values):
    ours = {each["name"]: each["value"] for each in values["env"]}
    found = re.findall(r"^((?!AIRFLOW__)[A-Z_]+)=(.*)$", read("config/cluster.env"), re.MULTILINE)
    assert dict(found).items() <= ours.items()


def test_the_limits_fill_all_workers_and_half_as_many_tasks_wait(values):
    settings, most = values["config"], values["workers"]["celery"]["keda"]["maxReplicaCount"]
    enough = most * settings["celery"]["worker_concurrency"] * 3 // 2
    assert settings["core"]["parallelism"] == enough
    assert settings["core"]["max_active_tasks_per_dag"] == enough


def test_a_worker_has_the_time_to_drain_that_it_has_in_compose(values):
    workers = re.split(r"^  airflow-worker:$", read("docker-compose.yaml"), flags=re.MULTILINE)[1]
    grace = int(re.search(r"stop_grace_period: (\d+)s", workers)[1])
    assert values["workers"]["celery"]["terminationGracePeriodSeconds"] == grace
    assert grace >= float(setting("FANFOLD_DRAIN_SECONDS")) + 60


def test_versions_are_those_of_the_project_and_its_lock(values):
    version = re.search(r'^version = "(.*)"$', read("pyproject.toml"), re.MULTILINE)[1]
    airflow = re.search(r"^apache-airflow==(\S+)", read("requirements.lock"), re.MULTILINE)
    assert values["images"]["airflow"]["tag"] == version
    assert values["airflowVersion"] == airflow[1]


def test_the_image_has_what_each_executor_needs(values):
    needs = {"CeleryExecutor": "celery", "KubernetesExecutor": "cncf-kubernetes"}
    for executor in values["executor"].split(","):
        package = f"\napache-airflow-providers-{needs[executor]}=="
        assert package in read("requirements.lock"), f"{executor} needs {package.strip()}"


def test_the_shared_directory_is_where_tasks_and_the_run_page_look_for_it(values):
    folder = re.search(r"FANFOLD_SHARED_DIR=(\S+)", read("Dockerfile"))[1]
    for component in (values["workers"]["celery"], values["apiServer"]):
        assert [each["mountPath"] for each in component["extraVolumeMounts"]] == [folder]
        (volume,) = component["extraVolumes"]
        assert volume["name"] == component["extraVolumeMounts"][0]["name"]
        assert volume["persistentVolumeClaim"]["claimName"] == "fanfold-shared"
    dags = re.search(r"AIRFLOW__CORE__DAGS_FOLDER=(\S+)", read("Dockerfile"))[1]
    assert values["dags"]["mountPath"] == dags


def test_metrics_get_the_names_that_they_have_in_the_compose_cluster(values):
    """Copy config/monitoring/statsd.yaml here when it changes; what takes time is a histogram."""
    theirs = yaml.safe_load(read("config/monitoring/statsd.yaml"))
    buckets = theirs["defaults"]["histogram_options"]
    for ours in (mappings := values["statsd"]["overrideMappings"]):
        if ours.pop("observer_type", None) == "histogram":
            assert ours.pop("histogram_options") == buckets
    assert mappings == theirs["mappings"]


# --- what must hold -----------------------------------------------------------------------------------


def test_nobody_is_root_or_becomes_it(values):
    pod, container = values["securityContexts"]["pod"], values["securityContexts"]["containers"]
    user = re.findall(r"^USER (\d+):(\d+)$", read("Dockerfile"), re.MULTILINE)[-1]
    assert (str(pod["runAsUser"]), str(pod["runAsGroup"])) == user
    assert pod["runAsNonRoot"] is True
    assert container == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_a_node_that_is_drained_never_takes_all_of_a_kind(values):
    parts = [values[name] for name in ("scheduler", "apiServer", "triggerer", "pgbouncer")]
    for part in [*parts, values["workers"]["celery"]]:
        assert part["podDisruptionBudget"] == {"enabled": True, "config": {"maxUnavailable": 1}}
    assert values["scheduler"]["replicas"] == values["apiServer"]["replicas"] == 2


def test_no_probe_and_no_helper_calls_a_script_of_another_image(values):
    """The chart's defaults call /entrypoint and /clean-logs, which only Airflow's own image has."""
    parts = {name: values[name] for name in ("scheduler", "dagProcessor", "triggerer")}
    parts["worker"] = values["workers"]["celery"]
    for name, part in parts.items():
        assert part["livenessProbe"]["command"], name
        assert part["logGroomerSidecar"] == {"enabled": False}, name
    assert values["scheduler"]["startupProbe"]["command"]
    assert not re.search(r"/entrypoint|/clean-logs", yaml.dump(values))
