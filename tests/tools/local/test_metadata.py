import sqlite3
from contextlib import closing

from fanfold.local.metadata import forget_job, give_up_cut_runs, migrated, needs_migration


def test_a_database_is_migrated_once_for_each_version_of_airflow(tmp_path):
    database = tmp_path / "airflow.db"
    assert needs_migration(database)
    database.write_text("")
    assert needs_migration(database), "the migration was cut off"
    migrated(database)
    assert not needs_migration(database)
    database.with_suffix(".version").write_text("3.0.0")
    assert needs_migration(database)


def test_only_cut_runs_of_make_run_are_given_up(tmp_path):
    database = tmp_path / "airflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript("""
            CREATE TABLE dag_run (dag_id, run_id, state, end_date);
            CREATE TABLE task_instance (dag_id, run_id, task_id, state);
            INSERT INTO dag_run VALUES
                ('d', 'make-run__1', 'success', 'then'), ('d', 'make-run__2', 'running', NULL),
                ('d', 'make-run__3', 'queued', NULL), ('d', 'manual__4', 'running', NULL);
            INSERT INTO task_instance VALUES
                ('d', 'make-run__2', 'done', 'success'), ('d', 'make-run__2', 'cut', 'running'),
                ('d', 'make-run__2', 'next', NULL), ('d', 'manual__4', 'goes_on', 'running');
        """)
    assert give_up_cut_runs(database) == 2
    with closing(sqlite3.connect(database)) as connection:
        runs = dict(connection.execute("SELECT run_id, state FROM dag_run"))
        tasks = dict(connection.execute("SELECT task_id, state FROM task_instance"))
    assert runs == {
        "make-run__1": "success",
        "make-run__2": "failed",
        "make-run__3": "failed",
        "manual__4": "running",
    }
    assert tasks == {"done": "success", "cut": "failed", "next": "failed", "goes_on": "running"}


def test_a_component_that_is_gone_is_noted_and_the_others_are_left_alone(tmp_path):
    database = tmp_path / "airflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript("""
            CREATE TABLE job (id, job_type, state, end_date);
            INSERT INTO job VALUES
                (1, 'SchedulerJob', 'success', 'then'), (2, 'SchedulerJob', 'running', NULL),
                (3, 'TriggererJob', 'running', NULL);
        """)
    assert forget_job(database, "scheduler") == 1
    assert forget_job(database, "scheduler") == 0
    assert forget_job(database, "api-server") == 0
    with closing(sqlite3.connect(database)) as connection:
        jobs = connection.execute("SELECT id, state, end_date IS NULL FROM job").fetchall()
    assert jobs == [(1, "success", 0), (2, "failed", 0), (3, "running", 1)]
