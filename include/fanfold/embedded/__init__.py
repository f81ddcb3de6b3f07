"""Fanfold on one machine, without Docker: ``make run``, ``make up``, ``make down``.

| module | what it is for |
|---|---|
| ``home`` | the folder that holds everything, and its secrets |
| ``settings`` | the environment of the Airflow processes, with a reason for each setting |
| ``processes`` | start programs and stop them with everything that they started |
| ``forkserver`` | Airflow is imported once, its programs are forked from there |
| ``state`` | what runs in a folder, for others who look |
| ``metadata`` | Airflow's own database: when it is migrated, and runs that were cut off |
| ``objects`` | the bucket's objects, kept on disk between two starts |
| ``supervisor`` | the process that starts, watches and stops all others |
| ``stack`` | how other programs start, find, ask and stop a stack |
| ``progress``, ``summary``, ``launcher``, ``commands`` | what a person sees and types |
| ``s3`` | an S3 server alone, for tests |
"""
