"""The run page in Airflow's UI: an API, a static page, and their registration.

| module | purpose |
|---|---|
| ``app`` | the FastAPI application that Airflow mounts under ``/fanfold`` |
| ``access`` | permissions, and the run of a request |
| ``schemas`` | the responses of the API |
| ``language`` | translates reasons and rules |
| ``headers`` | security headers |
| ``runs`` | queries of Airflow's database |
| ``verdict`` | the verdict on a run |
| ``summary``, ``batches``, ``items``, ``failures``, ``dataset``, ``redrive``, ``pipelines`` | the routes of each part of the page |
| ``files`` | the static page and the API documentation |
| ``static/`` | HTML, CSS and JavaScript; ``static/vendor/`` holds libraries |

It is stateless, apart from caches of unchanged files: every response comes from Airflow's database and
the run's workspace, which :mod:`fanfold.queries` reads, so any number of api-servers can run. It imports
no source and no pipeline: ``plan.json`` holds what it needs of them.
"""
