"""Commit: a validated batch becomes a version of the raw tables."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from include.contracts.data import DatasetSnapshot, LandedBatch
from include.contracts.digest import digest_of
from include.lake import Lake
from include.lake.landed import fetch

if TYPE_CHECKING:
    import pyarrow as pa

Read = Callable[[Mapping[str, Path]], "dict[str, pa.Table]"]


def commit(landed: LandedBatch, read: Read, lake: Lake) -> DatasetSnapshot:
    """Write the tables of `landed` to the lake, each in one transaction; the same content is written once.

    Args:
        landed: What was copied, and judged good.
        read: The Source's `read`.
        lake: Gets `raw/<table>`.

    Raises:
        DataError: If a copy is not what was landed, or cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="evergreen-commit-") as folder:
        tables = read(fetch(landed, Path(folder)))
        versions = tuple(
            lake.commit(f"raw/{name}", landed.batch, landed.digest, table) for name, table in sorted(tables.items())
        )
    digest = digest_of({"landed": landed.digest, "tables": {table.name: table.digest for table in versions}})
    return DatasetSnapshot(batch=landed.batch, starts=landed.starts, ends=landed.ends, tables=versions, digest=digest)
