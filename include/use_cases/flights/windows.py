"""Rolling windows over events: the value of a row is made of the events in (row - window, row]."""

from dataclasses import dataclass
from typing import Literal

import polars as pl


@dataclass(frozen=True)
class Window:
    """One rolling feature.

    Attributes:
        name: Column that it makes.
        event: Column of the events that it reads; events without it do not count.
        length: Such as `2h`.
        how: `mean`, `count`, or `last` for a level that the events carry.
    """

    name: str
    event: str
    length: str
    how: Literal["mean", "count", "last"] = "mean"

    @property
    def expression(self) -> pl.Expr:
        """The aggregation over the events of one window."""
        column = pl.col(self.event)
        return {"mean": column.mean(), "count": column.count().cast(pl.Float64), "last": column.last()}[self.how].alias(
            self.name
        )


def _landed(prefix: str, *lengths: str) -> tuple[Window, ...]:
    return tuple(
        window
        for length in lengths
        for window in (
            Window(f"{prefix}_late_share_{length}", "late", length),
            Window(f"{prefix}_arrival_delay_{length}", "arrival_delay", length),
            Window(f"{prefix}_landed_{length}", "late", length, "count"),
        )
    )


ROLLING = {
    "route": _landed("route", "24h", "7d"),
    "carrier": _landed("carrier", "24h", "7d"),
    "origin": (
        *_landed("origin", "2h", "24h"),
        Window("origin_departure_delay_2h", "departure_delay", "2h"),
        Window("origin_left_2h", "departure_delay", "2h", "count"),
        Window("origin_waiting", "waiting", "2h", "last"),
    ),
}
"""The rolling features of each view."""


def rolling(events: pl.LazyFrame, key: str, windows: tuple[Window, ...]) -> pl.LazyFrame:
    """One row for each key and instant with an event, with all windows that end there.

    Args:
        events: With `key`, `event_timestamp`, `flight_id` (fixes the order of sums) and the windows' event columns.
        key: Entity column.
        windows: What to compute.
    """
    ordered = events.sort(key, "event_timestamp", "flight_id")
    result = ordered.select(key, "event_timestamp").unique(maintain_order=True)
    for length in dict.fromkeys(window.length for window in windows):
        rows = ordered.rolling("event_timestamp", period=length, closed="right", group_by=key).agg(
            window.expression for window in windows if window.length == length
        )
        last = rows.unique([key, "event_timestamp"], keep="last", maintain_order=True)
        result = result.join(last, on=[key, "event_timestamp"], how="left", maintain_order="left")
    return result.select(key, "event_timestamp", *(window.name for window in windows))
