"""The steps of ingestion and validation on a real month, as the DAG calls them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from include import jobs
from include.contracts.errors import DataError, PolicyError
from include.contracts.record import Kind
from include.lake import object_store
from include.ledger import Ledger
from include.local.seaweedfs import SeaweedFS
from include.settings import settings
from include.use_cases.flights.upstream import write_month
from include.validation import quarantine

AS_OF = "2013-04-03T00:00:00+00:00"
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    for name in ("LAKE", "LANDING", "ARTIFACTS", "LEDGER_URL"):
        monkeypatch.delenv(f"EVERGREEN_{name}", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with SeaweedFS(tmp_path_factory.mktemp("s3")) as started:
        started.create_bucket("evergreen")
        yield started


def call(stage: str, step: str, **arguments: object) -> Json:
    return jobs.run(stage, step, {"use_case": "flights", "as_of": AS_OF, **arguments})


def ingest(batch: str) -> Json:
    landed = call("ingestion", "land", batch=batch)
    call("validation", "validate", batch=batch, landed=landed)
    return call("ingestion", "commit", batch=batch, landed=landed)


def empty(month: str) -> None:
    path = Path(settings().landing) / "flights" / month / "weather.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)


def ledger() -> Ledger:
    return Ledger.at(settings().ledger_url)


def kinds() -> list[Kind]:
    found = [Kind.BATCH_LANDED, Kind.BATCH_VALIDATED, Kind.BATCH_QUARANTINED, Kind.BATCH_COMMITTED]
    return [record.kind for record in ledger().find("flights", *found)]


def test_a_good_month_is_landed_validated_committed_and_its_features_are_sound() -> None:
    write_month("2013-01", settings().landing)
    snapshot = ingest("2013-01")
    assert {table["name"]: table["rows"] for table in snapshot["tables"]}["raw/flights"] == 27_004
    built = call("features", "build_features", batch="2013-01", snapshot=snapshot)
    report = call("validation", "validate_features", batch="2013-01", snapshot=built)
    assert report["success"]
    assert report["evaluated"] == report["declared"] > 70
    assert kinds() == [Kind.BATCH_LANDED, Kind.BATCH_VALIDATED, Kind.BATCH_COMMITTED, Kind.BATCH_VALIDATED]
    assert ingest("2013-01") == snapshot
    assert call("validation", "validate_features", batch="2013-01", snapshot=built) == report
    assert len(kinds()) == 4


def test_the_same_with_every_file_on_s3(
    server: SeaweedFS, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {
        f"EVERGREEN_{name.upper()}": f"s3://evergreen/{home.name}/{name}" for name in ("lake", "landing", "artifacts")
    }
    for name, value in {**server.environment(), **places}.items():
        monkeypatch.setenv(name, value)
    write_month("2013-02", settings().landing)
    assert call("ingestion", "land", batch=None)["batch"] == "2013-02"
    assert all(table["uri"].startswith("s3://") for table in ingest("2013-02")["tables"])
    write_month("2013-03", settings().landing)
    uri = f"{settings().landing}/flights/2013-03/flights.parquet"
    object_store(uri).write(uri, object_store(uri).read(uri)[:-100])
    with pytest.raises(DataError, match="is no whole Parquet file"):
        ingest("2013-03")
    assert quarantine.main(["show", "flights", "2013-03"]) == 0
    assert "is no whole Parquet file" in capsys.readouterr().out
    assert quarantine.main(["drop", "flights", "2013-03", "--reason", "cut"]) == 0
    with pytest.raises(DataError, match="was dropped by"):
        ingest("2013-03")


def test_an_empty_table_is_quarantined_and_never_committed(capsys: pytest.CaptureFixture[str]) -> None:
    write_month("2013-02", settings().landing)
    empty("2013-02")
    with pytest.raises(DataError, match="weather expect_table_row_count_to_be_between"):
        ingest("2013-02")
    landed = ledger().find("flights", Kind.BATCH_LANDED)[0].payload
    with pytest.raises(PolicyError, match="was not validated"):
        call("ingestion", "commit", batch="2013-02", landed=landed)
    assert kinds() == [Kind.BATCH_LANDED, Kind.BATCH_QUARANTINED]
    assert quarantine.main(["list", "flights"]) == 0
    assert "held" in capsys.readouterr().out
    assert quarantine.main(["show", "flights", "2013-02"]) == 0
    assert "rows of weather: 0" in capsys.readouterr().out


def test_a_cut_file_is_quarantined_and_a_whole_one_mends_it() -> None:
    write_month("2013-02", settings().landing)
    path = Path(settings().landing) / "flights" / "2013-02" / "flights.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"flights.parquet is no whole Parquet file"):
        ingest("2013-02")
    assert quarantine.main(["release", "flights", "2013-02", "--reason", "please"]) == 67
    write_month("2013-02", settings().landing)
    assert ingest("2013-02")["batch"] == "2013-02"


def test_a_released_content_passes_with_its_failures_on_record() -> None:
    write_month("2013-02", settings().landing)
    empty("2013-02")
    with pytest.raises(DataError):
        ingest("2013-02")
    assert quarantine.main(["release", "flights", "2013-02", "--reason", "the station was down"]) == 0
    assert ingest("2013-02")["batch"] == "2013-02"
    (validated,) = ledger().find("flights", Kind.BATCH_VALIDATED)
    assert "the station was down" in validated.payload["override"]
    assert validated.payload["failures"]


def test_a_scheduled_run_takes_the_oldest_that_waits_and_passes_over_what_is_held() -> None:
    for month in ("2013-01", "2013-02", "2013-03", "2013-04"):
        write_month(month, settings().landing)
    (Path(settings().landing) / "flights" / "2013-1x").mkdir()
    empty("2013-01")
    landed = call("ingestion", "land")
    assert landed["batch"] == "2013-01"
    with pytest.raises(DataError):
        call("validation", "validate", batch="2013-01", landed=landed)
    for month in ("2013-02", "2013-03"):
        landed = call("ingestion", "land", batch=None)
        assert landed["batch"] == month
        ingest(month)
    assert call("ingestion", "land", batch=None)["batch"] is None  # April is not over yet
    write_month("2013-01", settings().landing)
    assert call("ingestion", "land", batch=None)["batch"] == "2013-01"  # the corrected one is another content


def test_an_old_content_does_not_come_back() -> None:
    write_month("2013-02", settings().landing)
    ingest("2013-02")
    path = Path(settings().landing) / "flights" / "2013-02" / "weather.parquet"
    old = path.read_bytes()
    pq.write_table(pq.read_table(path).slice(1), path)
    newer = ingest("2013-02")
    path.write_bytes(old)
    with pytest.raises(PolicyError, match="has been corrected since"):
        ingest("2013-02")
    newest = ledger().newest("flights", Kind.BATCH_COMMITTED)
    assert newest is not None
    assert newest.payload == newer


@pytest.mark.parametrize("batch", ["2013-5; rm -rf", "2013-13", "../2013-01"])
def test_a_batch_that_is_no_month_is_refused(batch: str) -> None:
    with pytest.raises(PolicyError):
        call("ingestion", "land", batch=batch)


def test_a_month_that_never_came_says_what_is_there() -> None:
    write_month("2013-01", settings().landing)
    with pytest.raises(DataError) as raised:
        call("ingestion", "land", batch="2013-02")
    assert "flights/2013-02: nothing; batches that it gives: 2013-01" in raised.value.cause
