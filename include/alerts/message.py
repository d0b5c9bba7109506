"""What is said."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LONGEST_TITLE, LONGEST_TEXT = 200, 4_000


class Severity(StrEnum):
    """How bad it is; the values are apprise's."""

    GOOD = "success"
    BAD = "failure"
    WORRYING = "warning"


@dataclass(frozen=True)
class Message:
    """One fact in words.

    Attributes:
        key: Identity of the fact: the same key is the same fact, and is said once.
        as_of: The time that it is about, UTC.
    """

    key: str
    as_of: datetime
    severity: Severity
    title: str
    text: str

    def __post_init__(self) -> None:
        """Cut what is too long for a message."""
        object.__setattr__(self, "title", cut(" ".join(self.title.split()), LONGEST_TITLE))
        object.__setattr__(self, "text", cut(self.text, LONGEST_TEXT))


def cut(text: str, longest: int) -> str:
    """`text`, ended with an ellipsis where it has more than `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
