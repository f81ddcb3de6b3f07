"""The run page inside Airflow's UI: an API, one static page, and their registration.

| module | what it is for |
|---|---|
| ``app`` | the FastAPI application that Airflow mounts under ``/fanfold`` |
| ``access`` | who may see and do what; which run a request is about |
| ``answers`` | what the API answers, typed |
| ``language`` | what the pipeline wrote, in the language of who reads it |
| ``headers`` | what every response tells the browser to refuse |
| ``runs`` | what Airflow's database tells of a run |
| ``verdict`` | a run in one word |
| ``summary``, ``batches``, ``items``, ``failures``, ``dataset``, ``redrive``, ``pipelines`` | a module is a part of the page: its routes |
| ``files`` | the static page, and the page that describes the API |
| ``static/`` | HTML, CSS and JavaScript, as they are; ``static/vendor/`` are libraries |

It holds no state, only files that it has read and that have not changed: every answer comes from
Airflow's database and the run's workspace, so any number of api-servers can answer. What a run left is
read by :mod:`fanfold.queries`.
"""
