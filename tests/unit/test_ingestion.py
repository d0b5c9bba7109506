"""Landing is by content and harmless to repeat; only what was validated is committed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.errors import DataError, PolicyError
from include.contracts.source import Batch
from include.contracts.use_case import BinaryClassification, Cadence, UseCase
from include.ingestion.commit import commit
from include.ingestion.land import check_key, content_digest, copy, find
from include.ingestion.zone import LandingZone
from include.lake import Lake
from include.lake.landed import fetch

USE_CASE = UseCase(
    name="churn",
    owner="x",
    description="x",
    task=BinaryClassification(label="churned"),
    entity_keys=("customer",),
    event_time="event_time",
    cadence=Cadence.WEEKLY,
    timezone="Europe/Berlin",
    feature_service="churn_v1",
)
AS_OF = datetime(2024, 2, 1, tzinfo=UTC)


def read(files: Mapping[str, Path]) -> dict[str, pa.Table]:
    return {name: pq.read_table(path) for name, path in files.items()}


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(str(tmp_path / "landing"))


def drop(zone: LandingZone, key: str, rows: int, names: tuple[str, ...] = ("events", "people")) -> Batch:
    folder = Path(zone.root) / USE_CASE.name / key
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        pq.write_table(pa.table({"n": list(range(rows))}), folder / f"{name}.parquet")
    return Batch(key=key, files={name: str(folder / f"{name}.parquet") for name in names})


@pytest.mark.parametrize(
    "key", ["2024-1", "2024-W60", "2024-01-01", "../../etc", "2024-W02\n", "2024-W02; rm -rf /", "", "x" * 10_000]
)
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(PolicyError) as raised:
        check_key(USE_CASE, key, AS_OF)
    assert len(str(raised.value)) < 500


def test_a_batch_begins_and_ends_in_its_own_zone() -> None:
    starts, ends = check_key(USE_CASE, "2024-W02", AS_OF)
    assert (starts, ends - starts) == (datetime(2024, 1, 7, 23, tzinfo=UTC), timedelta(days=7))


def test_a_batch_that_is_not_over_is_refused() -> None:
    with pytest.raises(PolicyError, match="ingest it when it is over"):
        check_key(USE_CASE, "2024-W05", AS_OF)


def test_landing_twice_is_landing_once(zone: LandingZone, tmp_path: Path) -> None:
    batch = drop(zone, "2024-W02", 3)
    first, again = (copy(USE_CASE, batch, str(tmp_path / "artifacts"), AS_OF) for _ in range(2))
    assert first == again
    assert first.digest == content_digest(batch)
    assert len(list((tmp_path / "artifacts").rglob("*.parquet"))) == 2
    assert all(Path(file.uri).stat().st_size == file.size for file in first.files)


def test_another_content_lands_beside(zone: LandingZone, tmp_path: Path) -> None:
    landed = [copy(USE_CASE, drop(zone, "2024-W02", rows), str(tmp_path / "artifacts"), AS_OF) for rows in (3, 4)]
    assert landed[0].digest != landed[1].digest
    assert len(list((tmp_path / "artifacts").rglob("*.parquet"))) == 4


def test_a_missing_batch_names_the_folder_and_what_is_there(zone: LandingZone) -> None:
    drop(zone, "2024-W03", 3, names=("events",))
    given = [drop(zone, "2024-W02", 3)]
    with pytest.raises(DataError) as raised:
        find(USE_CASE, "2024-W03", given, zone)
    assert f"{zone.root}/churn/2024-W03: events.parquet" in raised.value.cause
    assert "batches that it gives: 2024-W02" in raised.value.cause


def test_a_commit_is_written_once(zone: LandingZone, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), USE_CASE.name)
    landed = copy(USE_CASE, drop(zone, "2024-W02", 3), str(tmp_path / "artifacts"), AS_OF)
    first, again = commit(landed, read, lake), commit(landed, read, lake)
    assert first == again
    assert [(table.name, table.rows, table.version) for table in first.tables] == [
        ("raw/events", 3, 0),
        ("raw/people", 3, 0),
    ]


def test_a_corrected_batch_replaces_the_old_one_and_is_another_snapshot(zone: LandingZone, tmp_path: Path) -> None:
    lake, snapshots = Lake(str(tmp_path / "lake"), USE_CASE.name), []
    for rows in (3, 5):
        landed = copy(USE_CASE, drop(zone, "2024-W02", rows), str(tmp_path / "artifacts"), AS_OF)
        snapshots.append(commit(landed, read, lake))
    assert snapshots[0].digest != snapshots[1].digest
    scanned = lake.scan("raw/events")
    assert scanned is not None
    assert scanned.collect().height == 5


def test_a_copy_that_was_changed_is_found(zone: LandingZone, tmp_path: Path) -> None:
    landed = copy(USE_CASE, drop(zone, "2024-W02", 3), str(tmp_path / "artifacts"), AS_OF)
    Path(landed.files[0].uri).write_bytes(b"PAR1")
    with pytest.raises(DataError, match="has digest"):
        fetch(landed, tmp_path)
    Path(landed.files[0].uri).unlink()
    with pytest.raises(DataError, match="is gone"):
        fetch(landed, tmp_path)
