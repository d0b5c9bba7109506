"""Landed files, brought back to this machine and held against their digests."""

from pathlib import Path, PurePosixPath

from include.contracts.data import LandedBatch
from include.contracts.errors import DataError
from include.lake.objects import object_store


def fetch(landed: LandedBatch, folder: Path) -> dict[str, Path]:
    """Copy the files of `landed` into `folder`.

    Returns:
        Local path by table name.

    Raises:
        DataError: If a file is gone, or its bytes are not those that were landed.
    """
    paths = {}
    for file in landed.files:
        path = folder / PurePosixPath(file.uri).name
        try:
            found = object_store(file.uri).download(file.uri, path)
        except FileNotFoundError as error:
            raise DataError("landed files", f"{file.uri} is gone", f"ingest {landed.batch} again") from error
        if found != file.digest:
            cause = f"{file.uri} has digest {found[:12]}, landed was {file.digest[:12]}"
            raise DataError("landed files", cause, f"delete that copy and ingest {landed.batch} again")
        paths[file.name] = path
    return paths
