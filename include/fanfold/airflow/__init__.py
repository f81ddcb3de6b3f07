"""The Airflow layer: Params, connections, tasks and policies.

No other package imports Airflow, but for the tools. DAG files import these modules, and each mapped
task parses its DAG file again, so heavy imports belong into the functions that need them.
"""
