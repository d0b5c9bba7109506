"""A batch's drift on one page: a heat map as SVG and a summary in Markdown, written without a plotting library."""

from collections.abc import Sequence
from html import escape

from include.contracts.monitoring import ColumnDrift, DriftReport, WindowState

TOP = 20
CELL, LABEL, LINE = 92, 190, 20


def heat_map(reports: Sequence[DriftReport]) -> str:
    """Columns by the model's gain against windows; the colour is the score over its threshold."""
    names = _heaviest(reports)
    width, height = LABEL + CELL * len(reports), LINE * (len(names) + 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        f'font-size="11"><rect width="{width}" height="{height}" fill="white"/>'
    ]
    for place, report in enumerate(reports):
        left = LABEL + CELL * place
        parts.append(_text(left + 4, 14, f"{report.starts:%Y-%m-%d}"))
        parts.append(_text(left + 4, 30, report.state.value))
        columns = {column.column: column for column in report.columns}
        parts += [_cell(left, LINE * (row + 2), columns[name]) for row, name in enumerate(names) if name in columns]
    parts += [_text(4, LINE * (row + 2) + 14, name) for row, name in enumerate(names)]
    return "".join([*parts, "</svg>"])


def summary(reports: Sequence[DriftReport], sizes: dict[str, int]) -> str:
    """The windows as a table, and what stood out."""
    first = reports[0]
    lines = [
        f"# {first.use_case} {first.batch}, predictions of v{first.model_version}",
        "",
        "| window | rows | state | drifted columns (counted) | their share of gain | predictions | metric | baseline |",
        "|---|--:|---|---|--:|---|--:|--:|",
        *(_row(report) for report in reports),
        "",
        *(f"- {report.starts:%Y-%m-%d}: {problem}" for report in reports for problem in report.problems),
        "",
        "Scores: Evidently, normalised Wasserstein distance (numbers) and Jensen-Shannon distance (categories).",
        "Thresholds: block bootstrap of the reference against itself at the window's size, never below the floor.",
        f"Sizes: {', '.join(f'{name} {count:,}' for name, count in sizes.items())}.",
    ]
    return "\n".join(lines)


def _row(report: DriftReport) -> str:
    drifted = ", ".join(c.column for c in report.columns if c.drifted and c.counted) or "none"
    prediction = report.prediction_drift
    shift = f"{prediction.score:.3f} (threshold {prediction.threshold:.3f})" if prediction else ""
    metric = "no labels yet" if report.metric is None else f"{report.metric:.4f}"
    baseline = "" if report.baseline is None else f"{report.baseline:.4f}"
    cells = [
        f"{report.starts:%Y-%m-%d}..{report.ends:%m-%d}",
        f"{report.rows:,}",
        report.state.value,
        drifted,
        f"{report.drifted_importance:.0%}",
        shift,
        metric,
        baseline,
    ]
    return f"| {' | '.join(cells)} |"


def _heaviest(reports: Sequence[DriftReport]) -> list[str]:
    gain = {column.column: column.importance for report in reports for column in report.columns}
    return sorted(gain, key=lambda name: -gain[name])[:TOP]


def _cell(left: int, top: int, column: ColumnDrift) -> str:
    depth = min(column.score / column.threshold, 2) / 2
    colour = f"rgb(255,{255 - int(150 * depth)},{255 - int(210 * depth)})" if column.counted else "rgb(235,235,235)"
    mark = " ▲" if column.drifted else ""
    box = f'<rect x="{left}" y="{top}" width="{CELL - 2}" height="{LINE - 2}" fill="{colour}"/>'
    return box + _text(left + 4, top + 14, f"{column.score:.2f} / {column.threshold:.2f}{mark}")


def _text(left: int, top: int, words: str) -> str:
    return f'<text x="{left}" y="{top}">{escape(words)}</text>'


def worst(reports: Sequence[DriftReport]) -> DriftReport | None:
    """The compared window that is most worth opening."""
    order = [WindowState.BAD_DATA, WindowState.DRIFTED, WindowState.STABLE]
    compared = [report for report in reports if report.state in order]
    return min(compared, key=lambda r: (order.index(r.state), -r.drifted_importance), default=None)
