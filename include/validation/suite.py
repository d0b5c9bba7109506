"""Holds the tables of a batch against their expectations, and against what no table may be without."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from include.contracts.data import ExpectationOutcome, ValidationReport
from include.contracts.errors import PolicyError
from include.validation.engine import NOT_EVALUATED, Engine

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ROW_COUNTS = {"ExpectTableRowCountToBeBetween": "min_value", "ExpectTableRowCountToEqual": "value"}
BUILT_IN = 2
"""Checks that every table gets without declaring them: columns with no value at all, numbers that are infinite."""


def judge(
    suite: str, batch: str, tables: "Mapping[str, pa.Table]", expectations: Mapping[str, list[Any]]
) -> ValidationReport:
    """Evaluate all expectations.

    Args:
        suite: `raw` or `features`.
        batch: Key of the batch.
        tables: Arrow tables by name.
        expectations: Great Expectations' expectations by table name.

    Returns:
        The report; it is a success only where as many were evaluated as were declared, and none failed.

    Raises:
        PolicyError: If a table has no expectation on its least number of rows; an empty table passes all others.
    """
    _look_at(suite, tables, expectations)
    engine = Engine()
    outcomes = [
        outcome
        for name in sorted(expectations)
        for outcome in _outcomes(engine, name, tables.get(name), expectations[name])
    ]
    declared = sum(len(each) + BUILT_IN for each in expectations.values())
    evaluated = sum(not outcome.observed.startswith(NOT_EVALUATED) for outcome in outcomes)
    failures = tuple(outcome for outcome in outcomes if not outcome.success)
    return ValidationReport(
        batch=batch,
        suite=suite,
        declared=declared,
        evaluated=evaluated,
        success=evaluated == declared and not failures,
        failures=failures,
        rows={name: table.num_rows for name, table in sorted(tables.items())},
    )


def unreadable(suite: str, batch: str, cause: str) -> ValidationReport:
    """The report on a batch whose files could not be read."""
    failure = ExpectationOutcome(table="files", expectation="can be read", success=False, observed=cause)
    return ValidationReport(batch=batch, suite=suite, declared=1, evaluated=1, success=False, failures=(failure,))


def is_unreadable(report: ValidationReport) -> bool:
    """Whether the batch has no tables to be judged."""
    return not report.rows


def _look_at(suite: str, tables: "Mapping[str, pa.Table]", expectations: Mapping[str, list[Any]]) -> None:
    for name in sorted({*tables, *expectations}):
        counted = [each for each in expectations.get(name, ()) if type(each).__name__ in ROW_COUNTS]
        if not any((getattr(each, ROW_COUNTS[type(each).__name__]) or 0) > 0 for each in counted):
            raise PolicyError(
                "validation",
                f"expectations.py: {suite}() says no least number of rows of table {name!r}",
                f'add gxe.ExpectTableRowCountToBeBetween(min_value=...) to "{name}"',
            )


def _outcomes(
    engine: Engine, name: str, table: "pa.Table | None", expectations: list[Any]
) -> Iterator[ExpectationOutcome]:
    if table is None:
        observed = f"{NOT_EVALUATED}the batch has no such table"
        yield ExpectationOutcome(table=name, expectation="is there", success=False, observed=observed)
        return
    frame = table.to_pandas()
    yield _some_value(name, frame, expectations)
    yield _finite(name, frame)
    yield from engine.evaluate(name, frame, expectations)


def _some_value(name: str, frame: "pd.DataFrame", expectations: list[Any]) -> ExpectationOutcome:
    meant = {each.column for each in expectations if type(each).__name__ == "ExpectColumnValuesToBeNull"}
    empty = [str(column) for column in frame.columns if column not in meant and not frame[column].notna().any()]
    return ExpectationOutcome(
        table=name,
        expectation="every column has a value",
        column=", ".join(empty) or None,
        success=not empty,
        observed=f"all {len(frame):,} rows are null" if empty else "",
    )


def _finite(name: str, frame: "pd.DataFrame") -> ExpectationOutcome:
    import numpy as np

    numbers = frame.select_dtypes("floating")
    infinite = np.isinf(numbers.to_numpy())
    columns = [str(column) for column, found in zip(numbers.columns, infinite.any(axis=0), strict=True) if found]
    rows = np.flatnonzero(infinite.any(axis=1))
    return ExpectationOutcome(
        table=name,
        expectation="every number is finite",
        column=", ".join(columns) or None,
        success=not columns,
        observed=f"{len(rows):,} of {len(frame):,} rows hold inf" if columns else "",
        offending=tuple(f"row {row}" for row in rows[:10]),
    )
