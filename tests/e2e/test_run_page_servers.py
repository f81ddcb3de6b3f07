"""The run page while a component is suspended, and with several api-servers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import psutil
import pytest
import requests

from fanfold.local.settings import (
    REPOSITORY,
    airflow_environment,
    clean_environment,
    free_ports,
    url,
)

# Playwright's own clean-up warns.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

DAG = "weibo_user_profiles"


@contextmanager
def still(stack, name):
    """Suspend a process of the stack, as on an overloaded machine."""
    process = psutil.Process(stack.state.processes[name])
    process.suspend()
    try:
        yield process
    finally:
        process.resume()


def say_in_database(stack, statement, *values):
    with closing(sqlite3.connect(stack.home.database, timeout=30)) as database, database:
        database.execute(statement, values)


def test_the_page_reports_a_missing_scheduler_or_server(stack, runs, visitor, page, number):
    run_id = runs.run(runs.users[:5], batch_size=5)
    with still(stack, "scheduler"):
        say_in_database(
            stack, "UPDATE job SET latest_heartbeat = '2020-01-01' WHERE job_type = 'SchedulerJob'"
        )
        say_in_database(stack, "UPDATE dag_run SET state = 'running' WHERE run_id = ?", run_id)
        try:
            visitor(page).alone(run_id)
            page.get_by_text("The Airflow scheduler is not running").wait_for()
            silence = page.get_by_text("The Airflow API server does not respond; retrying.")
            with still(stack, "api-server"):
                silence.wait_for(timeout=40_000)
                # What was known is still there.
                assert number(page, "ok") == 5
            silence.wait_for(state="detached", timeout=30_000)
        finally:
            say_in_database(stack, "UPDATE dag_run SET state = 'success' WHERE run_id = ?", run_id)


def test_the_page_reports_a_missing_shared_directory(stack, partial_run, visitor, page, number):
    visitor(page).alone(partial_run)
    away = stack.home.shared.with_name("shared-away")
    said = page.get_by_text("The shared directory cannot be read").first
    stack.home.shared.rename(away)
    try:
        said.wait_for(timeout=40_000)
        assert number(page, "invalid") == 5
    finally:
        away.rename(stack.home.shared)
    said.wait_for(state="detached", timeout=40_000)


def test_a_second_api_server_gives_the_same_answers(stack, partial_run, tmp_path):
    """The servers keep no state: a token of one is valid for the other, and the answers are equal."""
    path = f"/fanfold/api/dags/{DAG}/runs/{partial_run}"
    summary = stack.api("GET", path)
    headers = {"Authorization": stack._session.headers["Authorization"]}
    ports = free_ports()
    environment = clean_environment(os.environ) | airflow_environment(
        stack.home, stack.home.secrets(), ports, dags=REPOSITORY / "dags", scheduled=False
    )
    command = [sys.executable, "-m", "airflow", "api-server", "--apps", "core"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        second = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                address = url(ports.airflow) + path
                answer = requests.get(address, headers=headers, timeout=10)
                break
            except requests.ConnectionError:
                assert second.poll() is None, log.read_text()
                assert time.monotonic() < end
                time.sleep(0.1)
        assert answer.json() == summary
    finally:
        second.terminate()
        second.wait(30)
