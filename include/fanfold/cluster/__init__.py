"""The cluster of docker-compose.yaml, from outside: start, run, upgrade, back up, stop.

Needs Docker, Compose and a bare ``python3``: nothing here imports more than the standard library, and
nothing of it runs inside the containers. ``python3 -m fanfold.cluster --help`` lists the commands.

    environment.py  the .env: random secrets, written once
    compose.py      finds Compose, and calls it
    api.py          Airflow's REST API, through the port that is published
    runs.py         starts the sample, waits, and says what came out
    rolling.py      more workers, and another image, under runs that go on
    backups.py      database and workspaces into a folder, and back
    commands.py     the command line
"""
