"""What scoring wrote."""

from pydantic import NonNegativeInt

from include.contracts.frozen import Frozen, Utc


class Scored(Frozen):
    """The predictions of one batch.

    Attributes:
        model_version: Champion that predicted.
        table_version: Version of the Delta table `predictions`.
    """

    batch: str
    starts: Utc
    ends: Utc
    data_version: str
    model_version: int
    model_digest: str
    rows: NonNegativeInt
    uri: str
    table_version: NonNegativeInt
