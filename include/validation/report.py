"""A validation report as people read it."""

from include.contracts.data import ExpectationOutcome, ValidationReport
from include.validation.engine import NOT_EVALUATED

BRIEF = 5
"""Failures that an error names; the report has all."""


def markdown(use_case: str, report: ValidationReport, digest: str) -> str:
    """The whole report."""
    met = report.evaluated - sum(not is_unevaluated(failure) for failure in report.failures)
    lines = [
        f"# {use_case} {report.batch}: {report.suite} data {'good' if report.success else 'in quarantine'}",
        "",
        f"- content: `{digest}`",
        f"- expectations: {report.declared} declared, {report.evaluated} evaluated, {met} met",
        *(f"- rows of {table}: {rows:,}" for table, rows in report.rows.items()),
    ]
    for failure in report.failures:
        lines += ["", f"## {sentence(failure)}", ""]
        lines += [f"    {row}" for row in failure.offending] or ["(no single rows to show)"]
    if not report.success:
        lines += ["", "## What now", "", *(f"    {command}" for command in commands(use_case, report.batch))]
    return "\n".join([*lines, ""])


def brief(report: ValidationReport) -> str:
    """The failures in a few lines, for an error."""
    lines = [f"{len(report.failures)} of {report.declared} expectations on {report.batch} not met"]
    if report.evaluated != report.declared:
        lines[0] += f" ({report.evaluated} evaluated)"
    for failure in report.failures[:BRIEF]:
        row = f"; {failure.offending[0]}" if failure.offending else ""
        lines.append(f"{sentence(failure)}{row}")
    if len(report.failures) > BRIEF:
        lines.append(f"and {len(report.failures) - BRIEF} more")
    return "\n             ".join(lines)


def commands(use_case: str, batch: str) -> tuple[str, str]:
    """What a person can do about a quarantined batch."""
    start = "python -m include.validation.quarantine"
    return (
        f'{start} release {use_case} {batch} --reason "..."   # this very content may pass; then ingest again',
        f'{start} drop {use_case} {batch} --reason "..."      # this content is never to be used',
    )


def sentence(failure: ExpectationOutcome) -> str:
    """One failure in a line: table, column, expectation, what was seen."""
    column = f".{failure.column}" if failure.column else ""
    return f"{failure.table}{column} {failure.expectation}: {failure.observed}"


def is_unevaluated(outcome: ExpectationOutcome) -> bool:
    """Whether the expectation could not be evaluated at all."""
    return outcome.observed.startswith(NOT_EVALUATED)
