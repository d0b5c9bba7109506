"""What a use case says about where its data come from."""

from typing import Protocol

from include.contracts.frozen import Frozen


class Landing(Protocol):
    """The folder or bucket where upstream jobs drop files."""

    root: str

    def files(self, folder: str = "") -> list[str]:
        """URIs of the files below `folder`, sorted."""


class Batch(Frozen):
    """One batch as the upstream job dropped it.

    Attributes:
        key: Such as `2013-01`; matches the cadence's pattern.
        files: URI by name of the raw table that the file feeds.
    """

    key: str
    files: dict[str, str]
