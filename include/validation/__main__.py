"""Validation: judge a landed batch before it is committed, and its features before they are used."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.jobs import main

if TYPE_CHECKING:
    from include.validation.verdict import Verdict

Json = dict[str, Any]


def validate(use_case: str, as_of: str, batch: str, landed: Json) -> Json:
    """Hold the files of a landed batch against the raw expectations.

    Args:
        use_case: Name of the use case.
        as_of: Instant that the step is about, ISO 8601, UTC.
        batch: Key of the batch.
        landed: LandedBatch.

    Returns:
        ValidationReport. A batch that fails goes into quarantine, and the step ends with a DataError.
    """
    import tempfile
    from pathlib import Path

    import pyarrow as pa

    from include.contracts.data import LandedBatch
    from include.contracts.errors import DataError
    from include.lake.landed import fetch
    from include.use_cases import parts
    from include.validation.engine import quiet
    from include.validation.suite import judge, unreadable

    quiet()
    found, given = parts(use_case), LandedBatch.model_validate(landed)
    verdict = _verdict(use_case, "raw", batch, given.digest)
    if earlier := verdict.passed():
        return earlier.model_dump(mode="json")
    with tempfile.TemporaryDirectory(prefix="evergreen-validate-") as folder:
        paths = fetch(given, Path(folder))
        try:
            tables = found.source.read(paths)
        except DataError as error:
            report = unreadable("raw", batch, f"{error.cause}; {error.next_step}")
        except (pa.ArrowException, OSError) as error:
            report = unreadable("raw", batch, f"source.py: {type(error).__name__}: {error}")
        else:
            report = judge("raw", batch, tables, found.expectations.raw(given.starts, given.ends))
    return verdict.settle(report, datetime.fromisoformat(as_of), given.files).model_dump(mode="json")


def validate_features(use_case: str, as_of: str, batch: str, snapshot: Json) -> Json:
    """Hold the feature tables of a batch, as the lake has them, against the feature expectations.

    Args:
        use_case: Name of the use case.
        as_of: Instant that the step is about, ISO 8601, UTC.
        batch: Key of the batch.
        snapshot: DatasetSnapshot of the feature tables.

    Returns:
        ValidationReport. A batch that fails goes into quarantine, and the step ends with a DataError.
    """
    from include.contracts.data import DatasetSnapshot
    from include.lake import Lake
    from include.settings import settings
    from include.use_cases import parts
    from include.validation.engine import quiet
    from include.validation.suite import judge

    quiet()
    found, given = parts(use_case), DatasetSnapshot.model_validate(snapshot)
    verdict = _verdict(use_case, "features", batch, given.digest)
    if earlier := verdict.passed():
        return earlier.model_dump(mode="json")
    lake = Lake(settings().lake, use_case)
    frames = {each.name: lake.scan(each.name, [batch], version=each.version) for each in given.tables}
    tables = {
        name.removeprefix("features/"): frame.collect().to_arrow()
        for name, frame in frames.items()
        if frame is not None
    }
    report = judge("features", batch, tables, found.expectations.features(given.starts, given.ends))
    return verdict.settle(report, datetime.fromisoformat(as_of)).model_dump(mode="json")


def _verdict(use_case: str, suite: str, batch: str, digest: str) -> "Verdict":
    from include.ledger import Ledger
    from include.settings import settings
    from include.validation.verdict import Verdict

    return Verdict(Ledger.at(settings().ledger_url), settings().artifacts, use_case, suite, batch, digest)


if __name__ == "__main__":
    raise SystemExit(main("validation"))
