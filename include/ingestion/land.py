"""Land: copy what the Source gives from the landing zone to the artifacts, by content, unjudged."""

import re
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path, PurePosixPath

from include.contracts.data import LandedBatch, LandedFile
from include.contracts.digest import digest_of
from include.contracts.errors import DataError, PolicyError
from include.contracts.source import Batch
from include.contracts.use_case import UseCase
from include.ingestion.zone import LandingZone
from include.lake import object_store


def check_key(use_case: UseCase, key: str, as_of: datetime) -> tuple[datetime, datetime]:
    """First instant of the batch `key` and first instant after it.

    Raises:
        PolicyError: If the key is not of the use case's cadence, or the batch is not over at `as_of`.
    """
    pattern = use_case.cadence.pattern
    if not re.fullmatch(pattern, key):
        raise PolicyError("ingestion", f"batch must match {pattern}, got {key[:80]!r}", "correct the batch key")
    try:
        starts, ends = use_case.cadence.starts(key, use_case.zone), use_case.cadence.ends(key, use_case.zone)
    except ValueError as error:
        raise PolicyError("ingestion", f"batch {key!r} is no date: {error}", "correct the batch key") from error
    if ends > as_of:
        raise PolicyError(
            "ingestion",
            f"batch {key} ends at {ends.isoformat()}, after as_of {as_of.isoformat()}",
            "ingest it when it is over",
        )
    return starts, ends


def find(use_case: UseCase, key: str, batches: Iterable[Batch], zone: LandingZone) -> Batch:
    """The batch `key` among those that the Source gives.

    Raises:
        DataError: If the Source does not give it; says which folder, and what is there.
    """
    given = {batch.key: batch for batch in batches}
    if key in given:
        return given[key]
    folder = f"{use_case.name}/{key}"
    files = [PurePosixPath(uri).name for uri in zone.files(folder)]
    raise DataError(
        "ingestion",
        f"source.py gives no batch {key}; below {zone.root}/{folder}: {', '.join(files[:20]) or 'nothing'}; "
        f"batches that it gives: {', '.join(sorted(given)[:24]) or 'none'}",
        f"drop all files of {key} there, then ingest again",
    )


def copy(use_case: UseCase, batch: Batch, artifacts: str, as_of: datetime) -> LandedBatch:
    """Copy the files of `batch` below `artifacts`; the same content is found, not copied again."""
    starts, ends = check_key(use_case, batch.key, as_of)
    with tempfile.TemporaryDirectory(prefix="evergreen-land-") as folder:
        local = {name: Path(folder) / f"{name}{PurePosixPath(uri).suffix}" for name, uri in batch.files.items()}
        digests = {name: _download(batch.files[name], path) for name, path in sorted(local.items())}
        digest = digest_of(digests)
        root = f"{artifacts.rstrip('/')}/{use_case.name}/landed/{batch.key}/{digest}"
        files = tuple(_upload(name, local[name], f"{root}/{local[name].name}", digests[name]) for name in digests)
    return LandedBatch(batch=batch.key, starts=starts, ends=ends, files=files, digest=digest)


def content_digest(batch: Batch) -> str:
    """Digest that `copy` would give the batch, without copying it."""
    with tempfile.TemporaryDirectory(prefix="evergreen-look-") as folder:
        path = Path(folder) / "file"
        return digest_of({name: _download(uri, path) for name, uri in sorted(batch.files.items())})


def _download(uri: str, path: Path) -> str:
    try:
        return object_store(uri).download(uri, path)
    except FileNotFoundError as error:
        raise DataError("ingestion", f"{uri} went away while it was copied", "drop the batch again") from error


def _upload(name: str, path: Path, uri: str, digest: str) -> LandedFile:
    store = object_store(uri)
    if not store.exists(uri):
        store.upload(path, uri)
    return LandedFile(name=name, uri=uri, digest=digest, size=path.stat().st_size)
