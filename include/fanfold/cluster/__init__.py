"""Command line for the cluster of docker-compose.yaml: ``python3 -m fanfold.cluster --help``.

It runs on the host and needs only Python's standard library and ``docker compose`` (version 2).
``health.py`` is the exception: it is the health check inside the containers.

    environment.py  reads and writes .env, generates the secrets
    compose.py      runs ``docker compose``
    rolling.py      start, scale and rolling upgrade
    backups.py      backup and restore of databases and workspaces
    runs.py         triggers the sample run and waits for it
    commands.py     the command line
"""
