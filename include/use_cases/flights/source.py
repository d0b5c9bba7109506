"""Where the flights come from: four Parquet files a month, read into tables of declared types.

A file that is cut, has another column, another type or another clock is refused with a DataError that names the
file, the column and the mend. What the values say is judged later, by `expectations.py`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.contracts.errors import DataError
from include.contracts.source import Batch, Landing

UTC_TIME = pa.timestamp("us", tz="UTC")
WHOLE, REAL, TEXT = pa.int64(), pa.float64(), pa.string()
LOCAL_ZONE = "America/New_York"
SIZE_LIMIT = 1 << 30
"""Most uncompressed bytes of one file; a month of flights has 2 MB."""

KINDS = {
    "flights": {
        WHOLE: "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay flight air_time "
        "distance hour minute",
        TEXT: "carrier tailnum origin dest",
        UTC_TIME: "time_hour",
    },
    "weather": {
        WHOLE: "year month day hour",
        REAL: "temp dewp humid wind_dir wind_speed wind_gust precip pressure visib",
        TEXT: "origin",
        UTC_TIME: "time_hour",
    },
    "planes": {
        WHOLE: "year engines seats speed",
        TEXT: "tailnum type manufacturer model engine",
        UTC_TIME: "snapshot",
    },
    "airports": {WHOLE: "alt tz", REAL: "lat lon", TEXT: "faa name dst tzone", UTC_TIME: "snapshot"},
}
SCHEMAS = {
    table: pa.schema([(name, kind) for kind, names in kinds.items() for name in names.split()])
    for table, kinds in KINDS.items()
}
"""Columns and types of the files. `snapshot` is the instant at which a register was copied."""


def batches(landing: Landing) -> Iterable[Batch]:
    """The months of which all four files have arrived, oldest first."""
    months: dict[str, dict[str, str]] = {}
    for uri in landing.files("flights"):
        path = PurePosixPath(uri)
        if path.suffix == ".parquet" and path.stem in SCHEMAS:
            months.setdefault(path.parent.name, {})[path.stem] = uri
    for month, files in sorted(months.items()):
        if files.keys() == SCHEMAS.keys():
            yield Batch(key=month, files=files)


def read(files: Mapping[str, Path]) -> dict[str, pa.Table]:
    """Read the files of one month.

    Args:
        files: Local path by table name.

    Raises:
        DataError: If a file is missing, unreadable, or of another shape than `SCHEMAS` says.
    """
    missing = sorted(SCHEMAS.keys() - files.keys())
    if missing:
        raise _error(f"no file for {', '.join(missing)}; there is {', '.join(sorted(files))}", "drop the whole month")
    tables = {name: _typed(_read_file(files[name]), SCHEMAS[name], files[name].name) for name in SCHEMAS}
    for name in ("flights", "weather"):
        _same_clock(tables[name], files[name].name)
    return tables


def _error(cause: str, mend: str) -> DataError:
    return DataError("source of flights", cause, f"{mend}, and ingest the month again")


def _read_file(path: Path) -> pa.Table:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        groups = range(file.metadata.num_row_groups)
        size = sum(file.metadata.row_group(group).total_byte_size for group in groups)
        if size > SIZE_LIMIT:
            raise _error(f"{path.name}: {size:,} bytes uncompressed > {SIZE_LIMIT:,}", "export the month alone")
        table = file.read()
        table.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise _error(f"{path.name} is no whole Parquet file: {error}", "export the file again") from error
    return table


def _typed(table: pa.Table, schema: pa.Schema, file: str) -> pa.Table:
    for name in table.column_names:
        if name not in schema.names or table.column_names.count(name) > 1:
            raise _error(f"{file}: unexpected column {name!r}", f"export only {', '.join(schema.names)}")
    for name in schema.names:
        if name not in table.column_names:
            raise _error(f"{file}: column {name!r} is missing", "export it, empty where nothing is known")
    return pa.table([_column(table[field.name], field, file) for field in schema], schema=schema)


def _column(column: pa.ChunkedArray, field: pa.Field, file: str) -> pa.ChunkedArray:
    if not _same_family(column.type, field.type):
        raise _error(f"{file}: column {field.name!r} has type {column.type}, expected {field.type}", "mend the export")
    try:
        typed = column.cast(field.type)
    except pa.ArrowInvalid as error:
        raise _error(f"{file}: column {field.name!r}: {error}", f"export it as {field.type}") from error
    if pa.types.is_floating(field.type):  # NaN would poison every mean that a null does not touch
        typed = pc.if_else(pc.is_nan(typed), pa.scalar(None, field.type), typed)
    return typed


def _same_family(found: pa.DataType, declared: pa.DataType) -> bool:
    if pa.types.is_null(found):
        return True
    if pa.types.is_timestamp(declared):
        return bool(pa.types.is_timestamp(found) and found.tz is not None)
    if pa.types.is_integer(declared):
        return bool(pa.types.is_integer(found))
    if pa.types.is_floating(declared):
        return bool(pa.types.is_floating(found) or pa.types.is_integer(found))
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_dictionary(found))


def _same_clock(table: pa.Table, file: str) -> None:
    local = pc.local_timestamp(
        pc.assume_timezone(pc.local_timestamp(table["time_hour"]), "UTC").cast(pa.timestamp("us", tz=LOCAL_ZONE))
    )
    same = pc.equal(pc.day(local), table["day"])
    for part, name in ((pc.hour, "hour"), (pc.month, "month"), (pc.year, "year")):
        same = pc.and_(same, pc.equal(part(local), table[name]))
    wrong = table.num_rows - (pc.sum(pc.fill_null(same, False)).as_py() or 0)
    if wrong:
        raise _error(
            f"{file}: in {wrong:,} of {table.num_rows:,} rows time_hour is not the hour of year, month, day, hour "
            f"in {LOCAL_ZONE}",
            "write time_hour in UTC",
        )
