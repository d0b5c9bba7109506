#!/bin/sh
# A database and its owner for each part of the stack; nobody enters another's. Run by the image on an empty volume.
set -eu
for name in airflow mlflow feast ledger marquez; do
  variable=$(printf '%s_DB_PASSWORD' "$name" | tr '[:lower:]' '[:upper:]')
  eval "word=\${$variable:?}"
  psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --set name="$name" --set word="$word" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'word';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE DATABASE mlflow_auth OWNER mlflow;
REVOKE ALL ON DATABASE mlflow_auth FROM PUBLIC;
SQL
psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --command 'REVOKE ALL ON DATABASE postgres FROM PUBLIC'
