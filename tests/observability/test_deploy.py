"""What is mounted into the servers of a stack: sound, in sync, and explained."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from include.deploy.grafana.dashboards import written
from include.metrics.definitions import METRICS
from include.settings import PROJECT
from tests.observability.queries import DASHBOARDS, DEPLOY, METRIC, alerts, queries

PAGE = (PROJECT / "docs" / "observability.md").read_text()
MISSING = "is not here: apt-get install prometheus prometheus-alertmanager"


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("promtool", ["check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")]),
        ("promtool", ["check", "rules", str(DEPLOY / "prometheus" / "alerts.yml")]),
        ("amtool", ["check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml")]),
    ],
)
def test_the_servers_own_checks_pass(program: str, arguments: list[str]) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} {MISSING}")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboards_are_what_the_script_writes() -> None:
    assert {path: path.read_text() for path in DASHBOARDS} == written(), "python -m include.deploy.grafana.dashboards"


def test_every_panel_asks_the_provisioned_source_and_explains_itself() -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())["datasources"]
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        shown = [panel for panel in board["panels"] if panel["type"] != "row"]
        assert len(shown) > 10
        assert len({panel["title"] for panel in shown}) == len(shown)
        assert [panel["title"] for panel in shown if not panel.get("description")] == []
        assert {panel["datasource"]["uid"] for panel in shown} == {source["uid"]}
        assert [variable["name"] for variable in board["templating"]["list"]] == ["use_case"]
        letters = [[target["refId"] for target in panel["targets"]] for panel in shown]
        assert [each for each in letters if len(set(each)) < len(each)] == []


def test_nothing_asks_for_a_metric_that_nobody_has() -> None:
    mappings = yaml.safe_load((DEPLOY / "prometheus" / "statsd.yml").read_text())["mappings"]
    known = [re.escape(metric.name) for metric in METRICS] + ["up", r"alertmanager_\w+"]
    known += [mapping["name"].replace("$1", r"\w+") + "(_bucket|_sum|_count)?" for mapping in mappings]
    for where, query in queries():
        for name in METRIC.findall(query):
            assert re.fullmatch("|".join(known), name), (where, name)


def test_the_page_says_what_to_do_for_every_alert() -> None:
    assert re.findall(r"^\| `([A-Z]\w+)` \|", PAGE, re.MULTILINE) == [name for name, _ in alerts()]


def test_alerts_that_the_loop_tells_carry_a_use_case() -> None:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    looped = {r["alert"] for group in groups for r in group["rules"] if r["labels"].get("told_by") == "loop"}
    assert looped == {"RetrainFailed", "BreakerOpen", "QuarantinedBatch"}
