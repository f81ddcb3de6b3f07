"""The only part of Fanfold that knows Airflow: parameters, connections, tasks and policies.

DAG files import from here, and each mapped task parses its DAG file again, so nothing heavy is
imported at the top of these modules: a task imports its stage when it runs.
"""
