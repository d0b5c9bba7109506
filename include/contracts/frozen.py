"""The base of every contract: immutable, and deaf to nothing (unknown keys are refused)."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def to_utc(moment: datetime) -> datetime:
    """The same instant, written in UTC.

    Args:
        moment: A timezone-aware datetime.

    Raises:
        ValueError: If `moment` is naive; a naive time would be read as local time somewhere.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; write it with one, such as +00:00")
    return moment.astimezone(UTC)


Utc = Annotated[AwareDatetime, AfterValidator(to_utc)]
"""A timezone-aware instant, normalised to UTC."""
