"""What travels about data: URIs, versions, digests and counts, never a frame."""

from collections.abc import Iterable

from pydantic import Field, NonNegativeInt

from include.contracts.digest import digest_of
from include.contracts.frozen import Frozen, Utc


class LandedFile(Frozen):
    """One file of a batch as it was copied.

    Attributes:
        name: Name without suffix; the raw table that it feeds.
        uri: Where the copy is.
        digest: SHA-256 of its bytes, hexadecimal.
        size: Bytes.
    """

    name: str
    uri: str
    digest: str
    size: NonNegativeInt


class LandedBatch(Frozen):
    """A batch as it was copied from the Source, not yet judged.

    Attributes:
        batch: Key, such as `2013-01`.
        starts: First instant of the batch, UTC.
        ends: First instant after the batch, UTC.
        digest: SHA-256 over the files' names and digests: the identity of the content.
    """

    batch: str
    starts: Utc
    ends: Utc
    files: tuple[LandedFile, ...]
    digest: str


class TableVersion(Frozen):
    """One version of a lake table.

    Attributes:
        name: Table name within the use case, such as `raw/flights` or `features/flights_route`.
        version: Delta table version: the data version.
        rows: Rows that the batch brought.
        digest: Digest of the inputs that made it; the same digest is never written twice.
    """

    name: str
    uri: str
    version: NonNegativeInt
    rows: NonNegativeInt
    digest: str


class DatasetSnapshot(Frozen):
    """The tables after a batch was committed: together, the data version.

    Attributes:
        digest: Identity of the snapshot, derived from the tables' digests.
        made_of: Where the tables are features: the digests of the raw snapshots that they were computed from, the
            batch's own and those that its look-back reaches.
    """

    batch: str
    starts: Utc
    ends: Utc
    tables: tuple[TableVersion, ...]
    digest: str
    made_of: tuple[str, ...] = ()


def data_version(batches: Iterable[DatasetSnapshot]) -> str:
    """Digest over every batch's content: it changes when a batch comes or is corrected."""
    return digest_of(sorted([batch.batch, batch.digest] for batch in batches))


class ExpectationOutcome(Frozen):
    """One evaluated expectation.

    Attributes:
        observed: What was seen, in words.
        offending: Up to ten offending rows or values, as text.
    """

    table: str
    expectation: str
    column: str | None = None
    success: bool
    observed: str = ""
    offending: tuple[str, ...] = ()


class ValidationReport(Frozen):
    """Outcome of the expectations on one batch.

    Attributes:
        declared: Expectations declared.
        evaluated: Expectations evaluated; less than declared is a failure.
        success: All evaluated, none failed.
        report_uri: The readable report.
        override: Why a person released the batch although expectations failed; empty where nobody did.
    """

    batch: str
    suite: str
    declared: NonNegativeInt
    evaluated: NonNegativeInt
    success: bool
    failures: tuple[ExpectationOutcome, ...] = ()
    report_uri: str = ""
    override: str = ""
    rows: dict[str, int] = Field(default_factory=dict)


class TrainingSet(Frozen):
    """A point-in-time training set, written once as Parquet.

    The rows are split by event time: `[.., validation_from)` trains, `[validation_from, fresh_from)` stops the
    training early, `[fresh_from, ..)` is labelled, seen by no training, and judges.

    Attributes:
        digest: SHA-256 of the Parquet file.
        features: Input columns, in order.
        data_version: `data_version` of the batches that it was built from.
    """

    uri: str
    digest: str
    rows: NonNegativeInt
    label: str
    event_time: str
    features: tuple[str, ...]
    categorical: tuple[str, ...]
    starts: Utc
    validation_from: Utc
    fresh_from: Utc
    ends: Utc
    as_of: Utc
    data_version: str
