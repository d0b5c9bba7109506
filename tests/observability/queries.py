"""Every question that the dashboards and alerts ask, and the way to put it to a Prometheus.

Those about Airflow begin their metrics with `airflow_`: they have an answer where an Airflow sends StatsD.
"""

import json
import re
from typing import Any

import requests
import yaml

from include.settings import PROJECT

DEPLOY = PROJECT / "include" / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
VARIABLES = {"${use_case}": ".+", "$use_case": ".+", "$__rate_interval": "1m"}
METRIC = re.compile(r"\b(?:evergreen|airflow|alertmanager)_\w+|\bup\b")


def queries() -> list[tuple[str, str]]:
    """Where each query stands, and the query: all that should have an answer on a stack that has lived.

    Of an alert, which answers only while it fires, each metric that it looks at.
    """
    looked = [(f"alert {name}", metric) for name, rule in alerts() for metric in sorted(set(METRIC.findall(rule)))]
    return [*panels(), *looked]


def panels() -> list[tuple[str, str]]:
    """Dashboard and panel, and its query with Grafana's variables filled in."""
    found = []
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        for panel in _panels(board):
            found += [(f"{board['title']}: {panel['title']}", _filled(one["expr"])) for one in panel.get("targets", [])]
    return found


def alerts() -> list[tuple[str, str]]:
    """Name and expression of each alert."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


def answer(prometheus: str, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers now.

    Args:
        prometheus: Its address, such as `http://127.0.0.1:9090`.
        expression: PromQL.

    Raises:
        AssertionError: If it refuses the expression.
    """
    said = requests.get(f"{prometheus}/api/v1/query", params={"query": expression}, timeout=10).json()
    assert said["status"] == "success", f"{expression}: {said}"
    return list(said["data"]["result"])


def _panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", []))]


def _filled(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression
