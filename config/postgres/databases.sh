#!/bin/bash
# Run by the Postgres image when its volume is empty, and on AWS at each start. Creates a database and a role
# per purpose, unless they exist; a role can connect to its own database only. The passwords are in the
# container's environment.
set -euo pipefail

make_database() { # make_database NAME PASSWORD
    # The password is passed on stdin: all users of the machine can see command lines.
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<SQL
\set password \`printenv $2\`
SELECT format('CREATE ROLE $1 LOGIN PASSWORD %L', :'password')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$1') \gexec
-- The master user of RDS is no superuser: only a member can make the role the owner of a database.
GRANT $1 TO CURRENT_USER;
SELECT 'CREATE DATABASE $1 OWNER $1'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$1') \gexec
REVOKE CONNECT ON DATABASE $1 FROM PUBLIC;
SQL
}

: "${POSTGRES_USER:=postgres}"
make_database airflow AIRFLOW_DB_PASSWORD
make_database celery CELERY_DB_PASSWORD
make_database warehouse WAREHOUSE_DB_PASSWORD
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --command 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC'
