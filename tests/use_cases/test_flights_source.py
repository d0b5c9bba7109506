"""What cannot be read as flights is refused with the file, the column and the mend."""

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include.contracts.errors import DataError
from include.ingestion.zone import LandingZone
from include.use_cases.flights import source
from include.use_cases.flights.upstream import write_month
from tests.use_cases.flights_world import tables

Change = Callable[[pa.Table], pa.Table]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    for name, table in tables("2013-02").items():
        pq.write_table(table, tmp_path / f"{name}.parquet", write_page_checksum=True)
    return {name: tmp_path / f"{name}.parquet" for name in source.SCHEMAS}


def rewrite(path: Path, change: Change) -> None:
    pq.write_table(change(pq.read_table(path)), path, compression="zstd", use_dictionary=False)


def recast(name: str, kind: pa.DataType) -> Change:
    return lambda table: table.set_column(table.column_names.index(name), name, table[name].cast(kind))


def moved(table: pa.Table) -> pa.Table:
    hours = pc.subtract(table["time_hour"], pa.scalar(5 * 3_600_000_000, pa.duration("us")))
    return table.set_column(table.column_names.index("time_hour"), "time_hour", hours)


def test_all_four_files_are_read_in_the_declared_types(files: dict[str, Path]) -> None:
    for name, table in source.read(files).items():
        assert table.schema.equals(source.SCHEMAS[name])


def test_types_that_hold_the_same_values_are_taken(files: dict[str, Path]) -> None:
    rewrite(files["flights"], recast("flight", pa.int32()))
    rewrite(files["flights"], recast("carrier", pa.large_string()))
    rewrite(files["flights"], recast("time_hour", pa.timestamp("ns", tz="America/New_York")))
    rewrite(files["weather"], recast("wind_dir", pa.float32()))
    assert source.read(files)["flights"].schema.equals(source.SCHEMAS["flights"])


def test_nan_is_read_as_nothing(files: dict[str, Path]) -> None:
    nan = pa.array([float("nan")] * pq.read_metadata(files["weather"]).num_rows)
    rewrite(files["weather"], lambda t: t.set_column(t.column_names.index("temp"), "temp", nan))
    assert source.read(files)["weather"]["temp"].null_count == len(nan)


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("flights", lambda t: t.drop_columns(["dest"]), ["flights.parquet", "'dest'", "missing"]),
        ("flights", lambda t: t.append_column("image", t["dest"]), ["flights.parquet", "'image'", "unexpected"]),
        ("flights", recast("distance", pa.string()), ["flights.parquet", "'distance'", "string", "int64"]),
        ("flights", recast("time_hour", pa.timestamp("us")), ["flights.parquet", "'time_hour'", "timestamp[us]"]),
        ("weather", recast("temp", pa.string()), ["weather.parquet", "'temp'", "string", "double"]),
        ("weather", moved, ["weather.parquet", "time_hour", "America/New_York", "2,010 of 2,010"]),
        ("flights", moved, ["flights.parquet", "24,951 of 24,951"]),
    ],
)
def test_another_shape_is_refused(files: dict[str, Path], table: str, change: Change, words: list[str]) -> None:
    rewrite(files[table], change)
    with pytest.raises(DataError) as raised:
        source.read(files)
    assert all(word in raised.value.cause for word in words), raised.value.cause
    assert "ingest the month again" in raised.value.next_step


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_cut_file_is_refused(files: dict[str, Path], share: float) -> None:
    whole = files["flights"].read_bytes()
    files["flights"].write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"flights.parquet is no whole Parquet file"):
        source.read(files)


def test_a_flipped_page_is_refused(files: dict[str, Path]) -> None:
    whole = bytearray(files["flights"].read_bytes())
    for place in range(1_000, len(whole) * 9 // 10, 20_000):
        whole[place] ^= 0xFF
    files["flights"].write_bytes(bytes(whole))
    with pytest.raises(DataError, match=r"flights.parquet"):
        source.read(files)


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_read(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "SIZE_LIMIT", 10_000_000)
    rewrite(files["planes"], lambda t: t.set_column(0, "year", pa.array(["x" * 10_000] * len(t))))
    assert files["planes"].stat().st_size < 1_000_000
    with pytest.raises(DataError, match=r"planes.parquet: \d\d,\d\d\d,\d\d\d bytes uncompressed > 10,000,000"):
        source.read(files)


def test_a_missing_file_is_refused(files: dict[str, Path]) -> None:
    del files["weather"]
    with pytest.raises(DataError, match="no file for weather; there is airports, flights, planes"):
        source.read(files)


def test_a_month_counts_when_all_its_files_are_there(tmp_path: Path) -> None:
    for month in ("2013-03", "2013-01"):
        write_month(month, str(tmp_path))
    (tmp_path / "flights" / "2013-01" / "notes.txt").write_text("hello")
    (tmp_path / "flights" / "2013-03" / "planes.parquet").unlink()
    found = list(source.batches(LandingZone(str(tmp_path))))
    assert [batch.key for batch in found] == ["2013-01"]
    assert found[0].files.keys() == source.SCHEMAS.keys()


def test_the_same_month_is_written_to_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for place in ("a", "b"):
        written = write_month("2013-02", str(tmp_path / place))
        contents.append({name: Path(uri).read_bytes() for name, uri in written["files"].items()})
    assert contents[0] == contents[1]
    assert pq.read_metadata(io.BytesIO(contents[0]["flights"])).num_rows == 24_951
