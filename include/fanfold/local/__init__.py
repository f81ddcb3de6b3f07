"""Fanfold on one machine, without Docker: ``make run``, ``make up``, ``make down``.

| module | contents |
|---|---|
| ``home`` | the folder of a local stack, and its secrets |
| ``settings`` | ports, connections and the environment of the Airflow processes |
| ``processes`` | fork components, find and stop the processes of a stack |
| ``state`` | the state file of a stack |
| ``supervisor`` | the process that starts all components and stops them when one exits |
| ``stack`` | start, find, call and stop a stack from other programs |
| ``request`` | what ``make run`` is asked to run, as Params of the DAG |
| ``progress``, ``watch``, ``summary``, ``launcher``, ``commands`` | the command line and its output |
| ``s3``, ``signatures`` | the S3 server |
"""
