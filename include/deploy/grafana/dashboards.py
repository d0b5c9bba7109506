"""Writes the dashboards beside this file: `python -m include.deploy.grafana.dashboards` after a change of a panel."""

import json
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable, Row
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import VariableRefresh, VariableSort

from include.deploy.grafana.charts import SOURCE, Chart
from include.deploy.grafana.models import MODELS
from include.deploy.grafana.pipeline import PIPELINE

FOLDER = Path(__file__).parent / "dashboards"


def dashboard(title: str, rows: dict[str, tuple[Chart, ...]]) -> str:
    """A dashboard as JSON."""
    cases = QueryVariable("use_case").label("use case").datasource(SOURCE).multi(True).include_all(True)
    cases = cases.query("label_values(evergreen_replay, use_case)").sort(VariableSort.ALPHABETICAL_ASC)
    built = Dashboard(f"Evergreen: {title}").uid(f"evergreen-{title.lower()}").tags(["evergreen"]).timezone("utc")
    built = built.with_variable(cases.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED))
    built = built.refresh("30s").time("now-24h", "now").readonly()
    for name, charts in rows.items():
        built = built.with_row(Row(name))
        for chart in charts:
            built = built.with_panel(chart.panel())
    return json.dumps(built.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def written() -> dict[Path, str]:
    """What belongs into each file."""
    return {
        FOLDER / "models.json": dashboard("Models", MODELS),
        FOLDER / "pipeline.json": dashboard("Pipeline", PIPELINE),
    }


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text)
