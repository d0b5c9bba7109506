"""What the demo shows at its end: the table, `summary.json` and the picture."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from include.contracts.record import Kind
from include.contracts.scoring import Scored
from include.contracts.use_case import UseCase
from include.contracts.verdict import Champion
from include.demo.month import Lived
from include.lake import Lake
from include.ledger import Ledger
from include.models.booster import load_model, predict
from include.models.manifest import read_manifest
from include.models.scores import roc_auc


@dataclass(frozen=True)
class Row:
    """One month of the table.

    Attributes:
        champion_auc: AUC of the predictions as they were made at the time; None where nothing predicted.
        first_auc: AUC on the same flights of the first champion, had it stayed.
    """

    month: str
    flights: int
    share_late: float
    model: int | None
    champion_auc: float | None
    first_auc: float | None
    drifted: int
    windows: int
    retrain: bool
    automatic: bool
    rule: str | None
    reason: str
    outcome: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """Reads the rows of the summary out of the ledger and the lake."""

    use_case: UseCase
    ledger: Ledger
    lake: Lake

    def row(self, lived: Lived) -> Row:
        """One month, from what the loop itself recorded."""
        name, month = self.use_case.name, lived.key
        labels = self._labels(month)
        scored = self._newest(Kind.BATCH_SCORED, month)
        windows = self.ledger.find(name, Kind.WINDOW_MONITORED, prefix=f"{month}@")
        decided = self._newest(Kind.DECIDED, month) or {}
        asked = self.ledger.get(name, Kind.RETRAIN_REQUESTED, lived.request) if lived.request else None
        closed = self.ledger.get(name, Kind.RETRAIN_CLOSED, lived.request) if lived.request else None
        champion_auc, first_auc = self._aucs(month, labels) if scored else (None, None)
        return Row(
            month=month,
            flights=self._flights(month),
            share_late=float(np.mean(labels["label"].to_numpy())),
            model=Scored.model_validate(scored).model_version if scored else None,
            champion_auc=champion_auc,
            first_auc=first_auc,
            drifted=sum(window.payload["state"] == "drifted" for window in windows),
            windows=len(windows),
            retrain=asked is not None,
            automatic=bool(asked and asked.payload["automatic"]),
            rule=asked.payload["rule"] if asked else None,
            reason=asked.payload["reason"] if asked else decided.get("reason", ""),
            outcome=closed.payload["outcome"] if closed else "",
            seconds=round(lived.seconds, 1),
        )

    def _newest(self, kind: Kind, month: str) -> dict[str, Any] | None:
        found = self.ledger.find(self.use_case.name, kind, prefix=f"{month}@")
        return found[-1].payload if found else None

    def _flights(self, month: str) -> int:
        spine = self.lake.scan("spine", [month])
        return 0 if spine is None else int(spine.select(pl.len()).collect().item())

    def _labels(self, month: str) -> pl.DataFrame:
        spine = self.lake.scan("spine", [month])
        if spine is None:
            raise LookupError(f"no spine for {month}")
        keys = [*self.use_case.entity_keys, self.use_case.event_time]
        labelled = spine.select(*keys, label=pl.col(self.use_case.task.label)).drop_nulls("label")
        return labelled.collect()

    def _aucs(self, month: str, labels: pl.DataFrame) -> tuple[float, float]:
        predictions = self.lake.scan("predictions", [month])
        if predictions is None:
            raise LookupError(f"no predictions for {month}")
        keys = [*self.use_case.entity_keys, self.use_case.event_time]
        joined = predictions.collect().join(labels, on=keys, how="inner", nulls_equal=True)
        first = Champion.model_validate(self.ledger.find(self.use_case.name, Kind.PROMOTED)[0].payload)
        manifest = read_manifest(first.manifest_uri)
        kept = predict(load_model(manifest), joined, manifest)
        truth = joined["label"].to_numpy()
        return roc_auc(truth, joined["prediction"].to_numpy()), roc_auc(truth, kept)


def conclude(rows: list[Row]) -> dict[str, Any]:
    """What the rows say together: how often the loop closed, and what it was worth."""
    retrains = [row for row in rows if row.automatic and row.rule != "first_champion"]
    promoted = [row for row in retrains if row.outcome == "promoted"]
    after = [row for row in rows if retrains and row.month > retrains[0].month and row.champion_auc is not None]
    return {
        "retrains_by_watch": len(retrains),
        "promotions": sum(row.outcome == "promoted" for row in rows),
        "closed": len(promoted),
        "months_after_first_retrain": [row.month for row in after],
        "champion_mean_auc": _mean([row.champion_auc for row in after]),
        "first_model_mean_auc": _mean([row.first_auc for row in after]),
    }


def _mean(values: list[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return round(float(np.mean(numbers)), 4) if numbers else None


def write_json(rows: list[Row], conclusion: dict[str, Any], extra: dict[str, Any], path: Path) -> None:
    """`summary.json`: the rows, the conclusion, and what the run used."""
    content = {"conclusion": conclusion, **extra, "months": [row.__dict__ for row in rows]}
    path.write_text(json.dumps(content, indent=2) + "\n")


def show(rows: list[Row], console: Console) -> None:
    """The table, as text."""
    names = {"month": "left", "flights": "right", "late": "right", "model": "left", "champion AUC": "right"}
    names |= {"first model AUC": "right", "drift": "left", "took": "right", "decision": "left"}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in names.items():
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=name != "decision")
    for row in rows:
        table.add_row(
            row.month,
            f"{row.flights:,}",
            f"{row.share_late:.1%}",
            f"v{row.model}" if row.model else "–",
            _number(row.champion_auc),
            _number(row.first_auc),
            f"{row.drifted} of {row.windows}" if row.windows else "–",
            f"{row.seconds:.0f} s",
            _decision(row),
        )
    console.print(table, soft_wrap=False)


def _decision(row: Row) -> str:
    """The decision in a few words; the whole reason stands above and in `summary.json`."""
    short = row.reason.removeprefix("nothing speaks for a retrain: ").split(";")[0]
    return f"{row.outcome}: {short}" if row.retrain else f"no retrain: {short}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def draw(rows: list[Row], path: Path) -> None:
    """`auc.png`: the champion as it predicted, the first model had it stayed, and the promotions."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    scored = [row for row in rows if row.champion_auc is not None]
    figure, axes = plt.subplots(figsize=(9, 4.5), dpi=120, layout="constrained")
    months = [row.month for row in scored]
    axes.plot(
        months, [row.first_auc for row in scored], "s--", color="#b35806", lw=1.5, label="first model, had it stayed"
    )
    axes.plot(
        months, [row.champion_auc for row in scored], "o-", color="#1b7837", lw=2, label="champion, as it predicted"
    )
    axes.margins(x=0.08, y=0.22)
    for position, row in enumerate(scored):
        above = (position, row.champion_auc or 0.0)
        axes.annotate(f"v{row.model}", above, textcoords="offset points", xytext=(0, 9), ha="center", color="#1b7837")
        if row.retrain:
            axes.axvline(position + 0.5, color="#762a83", lw=1, ls=":")
            said = f"{(row.rule or '').replace('_', ' ')}:\n{row.outcome}"
            axes.annotate(
                said, (position + 0.5, 0.98), xycoords=("data", "axes fraction"), va="top", ha="center", fontsize=8
            )
    axes.set_ylabel("AUC on the month's flights")
    axes.set_title(
        "Will this flight arrive more than 15 minutes late? Each month as the champion of its time predicted it"
    )
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path)
    plt.close(figure)
