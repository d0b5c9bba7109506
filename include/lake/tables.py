"""Versioned tables: Delta Lake, one partition a batch, each batch's content written at most once."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.contracts.data import TableVersion

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from deltalake import DeltaTable

BATCH = "batch"
"""Partition column of every lake table."""


class Lake:
    """The tables of one use case.

    Args:
        root: Folder or `s3://bucket/prefix` that holds all use cases.
        use_case: Name of the use case.
    """

    def __init__(self, root: str, use_case: str) -> None:
        self.root = root.rstrip("/")
        self.use_case = use_case

    def uri(self, table: str) -> str:
        """Where `table` (such as `raw/flights`) is."""
        return f"{self.root}/{self.use_case}/{table}"

    def open(self, table: str, version: int | None = None) -> "DeltaTable | None":
        """The Delta table, or None where it was never written."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self.uri(table), version=version, storage_options=storage_options(self.root))
        except TableNotFoundError:
            return None

    def commit(self, table: str, batch: str, digest: str, rows: "pa.Table", new_columns: bool = False) -> TableVersion:
        """Replace the partition of `batch` by `rows` in one transaction, unless this content is already there.

        Args:
            table: Table name within the use case.
            batch: Partition value.
            digest: Digest of the inputs that made the rows; kept in the commit, and looked for first.
            rows: The new content of the partition, without the partition column.
            new_columns: Whether `rows` may bring columns that the table does not have yet, or leave some out.
        """
        from deltalake import CommitProperties, write_deltalake

        if found := self.find(table, batch, digest):
            return found
        uri = self.uri(table)
        if not uri.startswith("s3://"):
            Path(uri).mkdir(parents=True, exist_ok=True)
        write_deltalake(
            uri,
            rows.append_column(BATCH, _constant(batch, rows.num_rows)),
            mode="overwrite",
            partition_by=[BATCH],
            schema_mode="merge" if new_columns else None,
            predicate=f"{BATCH} = '{batch}'" if self.open(table) else None,
            storage_options=storage_options(self.root),
            commit_properties=CommitProperties(
                custom_metadata={"batch": batch, "digest": digest, "rows": str(rows.num_rows)}
            ),
        )
        found = self.find(table, batch, digest)
        if found is None:
            raise AssertionError(f"{uri}: the commit of {batch} is not in the table's history")
        return found

    def find(self, table: str, batch: str, digest: str) -> TableVersion | None:
        """The version in which `batch` was written from `digest`, if that is still the batch's content."""
        opened = self.open(table)
        newest = next((c for c in opened.history() if c.get("batch") == batch), None) if opened else None
        if newest is None or newest.get("digest") != digest:
            return None
        return self._version(table, newest)

    def _version(self, table: str, commit: dict[str, Any]) -> TableVersion:
        return TableVersion(
            name=table,
            uri=self.uri(table),
            version=int(commit["version"]),
            rows=int(commit["rows"]),
            digest=commit["digest"],
        )

    def contents(self, table: str) -> dict[str, str]:
        """Digest of what each batch holds now, by batch."""
        return {batch: written.digest for batch, written in self.written(table).items()}

    def written(self, table: str) -> dict[str, TableVersion]:
        """The version in which each batch was written as it is now, by batch."""
        opened = self.open(table)
        commits = opened.history() if opened else []
        return {c["batch"]: self._version(table, c) for c in reversed(commits) if "batch" in c}

    def scan(
        self, table: str, batches: Iterable[str] | None = None, version: int | None = None
    ) -> "pl.LazyFrame | None":
        """The rows of `batches` (all where None), lazily, without the partition column.

        Returns:
            None where the table was never written.
        """
        import polars as pl

        opened = self.open(table, version)
        if opened is None:
            return None
        frame = pl.scan_delta(opened, storage_options=storage_options(self.root) or None)
        if batches is not None:
            frame = frame.filter(pl.col(BATCH).is_in(list(batches)))
        return frame.drop(BATCH)


def _constant(value: str, count: int) -> "pa.Array":
    import pyarrow as pa

    return pa.repeat(pa.scalar(value, pa.string()), count)


def storage_options(uri: str) -> dict[str, str]:
    """What delta-rs needs beyond the AWS_* variables; nothing for a local folder."""
    if not uri.startswith("s3://"):
        return {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    return {
        "aws_conditional_put": "etag",
        "allow_http": str(endpoint.startswith("http://")).lower(),
        **({"endpoint": endpoint} if endpoint else {}),
    }
