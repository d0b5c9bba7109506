"""Build the feature tables and the spine of one batch from the raw tables, each version at most once."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

import polars as pl
import polars.selectors as cs

from include.contracts.data import DatasetSnapshot, TableVersion
from include.contracts.digest import digest_of
from include.contracts.errors import DataError, PolicyError
from include.contracts.record import Kind
from include.contracts.use_case import UseCase
from include.lake import Lake
from include.ledger import Ledger

SPINE = "spine"
EVENT = "event_timestamp"
LABEL_TIME = "label_time"
TIME = pl.Datetime("us", "UTC")
OTHER_CODE = {"use_case.py", "source.py", "expectations.py", "model.py"}
"""Files of a use case that do not decide what features are."""

Build = Callable[[Mapping[str, pl.LazyFrame], datetime], dict[str, pl.LazyFrame]]


def build_features(
    use_case: UseCase,
    features: ModuleType,
    lake: Lake,
    raw: DatasetSnapshot,
    earlier: Sequence[DatasetSnapshot],
    as_of: datetime,
) -> DatasetSnapshot:
    """Build the rows of [raw.starts, raw.ends) of every view and of the spine, and commit them to the lake.

    Args:
        use_case: The declaration.
        features: The use case's `features.py`.
        lake: Holds the raw tables, and gets the others.
        raw: The batch.
        earlier: Batches that its look-back reaches, as `reaching` finds them.
        as_of: Handed to `features.py`.

    Returns:
        The feature tables' versions; the digest is that of `raw`.

    Raises:
        PolicyError: If `features.py` returns no spine, or a frame without its time column.
        DataError: If no row of the spine lies in the batch.
    """
    batches = sorted([*earlier, raw], key=lambda snapshot: snapshot.starts)
    inputs = digest_of({"code": _code(features), "raw": [batch.digest for batch in batches]})
    build: Build = features.build
    frames = _within(use_case, build(_tables(lake, batches), as_of), raw)
    digests = {name: digest_of({"inputs": inputs, "table": name}) for name in frames}
    found = [lake.find(name, raw.batch, digests[name]) for name in frames]
    tables = [table for table in found if table is not None]
    if len(tables) < len(frames):
        tables = list(_commit(lake, raw.batch, frames, digests))
    return DatasetSnapshot(
        batch=raw.batch,
        starts=raw.starts,
        ends=raw.ends,
        tables=tuple(tables),
        digest=raw.digest,
        made_of=tuple(batch.digest for batch in batches),
    )


def reaching(ledger: Ledger, use_case: str, raw: DatasetSnapshot, lookback: timedelta) -> list[DatasetSnapshot]:
    """The newest snapshot of every other batch that overlaps [raw.starts - lookback, raw.ends)."""
    newest = snapshots(ledger, use_case, Kind.BATCH_COMMITTED)
    return [
        snapshot
        for snapshot in newest
        if snapshot.batch != raw.batch and snapshot.starts < raw.ends and snapshot.ends > raw.starts - lookback
    ]


def snapshots(ledger: Ledger, use_case: str, kind: Kind, as_of: datetime | None = None) -> list[DatasetSnapshot]:
    """The newest snapshot of each batch that the ledger knows by `as_of`, in the order of time."""
    newest: dict[str, DatasetSnapshot] = {}
    for record in ledger.find(use_case, kind):
        if as_of is None or record.as_of <= as_of:
            newest[record.payload["batch"]] = DatasetSnapshot.model_validate(record.payload)
    return sorted(newest.values(), key=lambda snapshot: snapshot.starts)


def _tables(lake: Lake, batches: Sequence[DatasetSnapshot]) -> dict[str, pl.LazyFrame]:
    """The raw tables by their short names: of each batch, the version that its snapshot names."""
    parts: dict[str, list[pl.LazyFrame]] = {}
    for batch in batches:
        for table in batch.tables:
            rows = lake.scan(table.name, [batch.batch], version=table.version)
            if rows is None:
                raise DataError("features", f"{table.uri} is gone", f"ingest {batch.batch} again")
            parts.setdefault(table.name.removeprefix("raw/"), []).append(rows)
    return {name: pl.concat(frames, how="vertical_relaxed") for name, frames in parts.items()}


def _within(use_case: UseCase, built: Mapping[str, pl.LazyFrame], raw: DatasetSnapshot) -> dict[str, pl.LazyFrame]:
    """The frames by table name, cut to the batch and put in the order of time."""
    if SPINE not in built:
        raise PolicyError("features.py", f"build returns no {SPINE!r}; it returns {sorted(built)}", "add the spine")
    _look_at(use_case, built[SPINE].collect_schema())
    frames = {}
    for name, frame in built.items():
        time = use_case.event_time if name == SPINE else EVENT
        schema = frame.collect_schema()
        if not isinstance(dtype := schema.get(time), pl.Datetime) or dtype.time_zone is None:
            raise PolicyError(
                "features.py", f"{name}.{time} is {dtype}", f"give {name} a column {time} of type Datetime in UTC"
            )
        here = (pl.col(time) >= pl.lit(raw.starts, TIME)) & (pl.col(time) < pl.lit(raw.ends, TIME))
        instants = [column for column, kind in schema.items() if isinstance(kind, pl.Datetime) and kind.time_zone]
        frames[name if name == SPINE else f"features/{name}"] = (
            frame.with_columns(pl.col(instants).cast(TIME), cs.categorical().cast(pl.String))
            .filter(here)
            .sort(time, maintain_order=True)
        )
    return frames


def _look_at(use_case: UseCase, spine: pl.Schema) -> None:
    wanted = {*use_case.entity_keys, use_case.event_time, use_case.task.label, LABEL_TIME, *use_case.request_features}
    if missing := sorted(wanted - set(spine)):
        raise PolicyError("features.py", f"the spine has no {', '.join(missing)}", "add them, or correct use_case.py")


def _commit(
    lake: Lake, batch: str, frames: Mapping[str, pl.LazyFrame], digests: Mapping[str, str]
) -> Iterable[TableVersion]:
    collected = dict(zip(frames, pl.collect_all(frames.values(), engine="streaming"), strict=True))
    if collected[SPINE].is_empty():
        raise DataError("features", f"the spine of {batch} has 0 rows", "look at the event times of the raw tables")
    for name, frame in collected.items():
        yield lake.commit(name, batch, digests[name], frame.to_arrow(compat_level=pl.CompatLevel.oldest()))


def _code(features: ModuleType) -> str:
    """Digest of `features.py` and of the files beside it that it may use."""
    folder = Path(str(features.__file__)).parent
    files = sorted(path for path in folder.glob("*.py") if path.name not in OTHER_CODE)
    return digest_of({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
