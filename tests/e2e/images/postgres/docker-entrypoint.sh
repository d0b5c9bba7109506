#!/bin/bash
# The part of the official image's entrypoint that the stack uses: initdb on an empty volume, then the scripts, then the server.
set -euo pipefail
export PGDATA=${PGDATA:-/var/lib/postgresql/data} POSTGRES_USER=${POSTGRES_USER:-postgres}
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?}"
  # shellcheck disable=SC2086
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") --auth-local=trust ${POSTGRES_INITDB_ARGS:-}
  printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
  pg_ctl --silent --wait --options="-c listen_addresses=''" start
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) echo "running $file"; if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --file "$file" ;;
    esac
  done
  pg_ctl --silent --wait stop
fi
exec "$@" -c "listen_addresses=*"
