"""Fanfold on one machine, without Docker: ``make run``, ``make up``, ``make down``.

| module | what it is for |
|---|---|
| ``home`` | the folder that holds everything, and its secrets |
| ``settings`` | the environment of the Airflow processes, with a reason for each setting |
| ``processes`` | start programs and stop them with everything that they started |
| ``forkserver`` | Airflow is imported once, its programs are forked from there |
| ``state`` | what runs in a folder, for others who look |
| ``metadata`` | Airflow's own database: when it is migrated, and runs that were cut off |
| ``objects`` | what lies in the bucket, for those who ask |
| ``supervisor`` | the process that starts, watches and stops all others |
| ``restarts``, ``probes`` | when a component that died begins again; how it is asked |
| ``stack`` | how other programs start, find, ask and stop a stack |
| ``progress``, ``summary``, ``launcher``, ``commands`` | what a person sees and types |
| ``s3``, ``durable`` | the S3 server; what it acknowledged outlives it |
"""
