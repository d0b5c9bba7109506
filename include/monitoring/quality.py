"""Looks at a window's data before its statistics: bad data must never look like drift."""

from dataclasses import dataclass

import polars as pl

from include.monitoring.columns import infinite
from include.monitoring.reference import Reference

NEARLY_ALL = 0.9
JUMP = 0.5
FOREIGN = 0.5
WORTH_SAYING = 0.05


@dataclass(frozen=True)
class Quality:
    """Findings in words.

    Attributes:
        bad: Make the window "bad data".
        notes: Are reported and do not.
    """

    bad: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def inspect(raw: pl.DataFrame, tidy: pl.DataFrame, reference: Reference) -> Quality:
    """Missing values, infinite values and categories that training never saw.

    Args:
        raw: The window's rows as they were scored.
        tidy: The same with infinite values made missing and categories as text.
        reference: What the champion was trained on.
    """
    if raw.is_empty():
        return Quality()
    bad, notes = _missing(tidy, reference)
    notes += [
        f"{name}: {count:,} infinite values, taken as missing"
        for name, count in infinite(raw, reference.manifest.features).items()
    ]
    for name, share in _unseen(tidy, reference).items():
        text = f"{name}: {share:.0%} of the values are categories that training never saw"
        (bad if share >= FOREIGN else notes).append(text)
    return Quality(tuple(bad), tuple(notes))


def _missing(tidy: pl.DataFrame, reference: Reference) -> tuple[list[str], list[str]]:
    bad, notes = [], []
    for column in tidy:
        usual = reference.features.missing.get(column.name, 0.0)
        share = column.null_count() / len(column)
        text = f"{column.name}: {share:.0%} missing, in the reference {usual:.0%}"
        if share - usual > JUMP or share >= NEARLY_ALL > usual + WORTH_SAYING:
            bad.append(text)
        elif share - usual > WORTH_SAYING:
            notes.append(text)
    return bad, notes


def _unseen(tidy: pl.DataFrame, reference: Reference) -> dict[str, float]:
    shares: dict[str, float] = {}
    for name, known in reference.manifest.categories.items():
        values = tidy.get_column(name).drop_nulls() if name in tidy.columns else pl.Series(dtype=pl.String)
        if len(values):
            shares[name] = 1.0 - int(values.is_in(list(known)).sum()) / len(values)
    return {name: share for name, share in shares.items() if share > WORTH_SAYING}
