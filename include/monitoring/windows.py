"""Cuts a batch into windows."""

from datetime import datetime, timedelta
from itertools import pairwise

Window = tuple[datetime, datetime]
"""First instant, and first instant after."""


def cut(starts: datetime, ends: datetime, length: timedelta) -> list[Window]:
    """Windows of `length` from `starts` on; a rest shorter than half a window joins the last one.

    Args:
        starts: First instant of the batch.
        ends: First instant after the batch.
        length: Of one window.
    """
    whole, rest = divmod(ends - starts, length)
    count = max(1, whole + (1 if rest * 2 >= length else 0))
    edges = [starts + number * length for number in range(count)] + [ends]
    return list(pairwise(edges))
