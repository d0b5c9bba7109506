"""The values for Airflow's Helm chart: what can be held against them without a cluster."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from include.settings import PROJECT, Settings
from tests.fakes.pod_security import violations

FOLDER = PROJECT / "include" / "deploy" / "helm"
CHART = "EVERGREEN_AIRFLOW_CHART"
SECRETS = {"EVERGREEN_LEDGER_URL", "EVERGREEN_FEAST_REGISTRY", "EVERGREEN_FEAST_ONLINE"}
Json = dict[str, Any]


def values(*names: str) -> Json:
    """Values files, later ones over earlier ones, as Helm merges them."""
    found: Json = {}
    for name in names:
        found = merged(found, yaml.safe_load((FOLDER / name).read_text()))
    return found


def merged(one: Json, other: Json) -> Json:
    both = {key: merged(one[key], other[key]) for key in one.keys() & other.keys() if isinstance(other[key], dict)}
    return {**one, **other, **both}


BASE, SYNCED = values("values.yaml"), values("values.yaml", "values-git-sync.yaml")


def settings_of(found: Json) -> dict[str, str]:
    given: dict[str, str] = yaml.safe_load(found["extraConfigMaps"]["evergreen-settings"]["data"])
    return given


def leaves(found: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    pairs = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in pairs:
        yield from leaves(value, f"{path}.{key}")
    if not isinstance(found, dict | list):
        yield path, found


def test_our_settings_are_settings_and_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings_of(BASE)
    assert {name.removeprefix("EVERGREEN_").lower() for name in given | dict.fromkeys(SECRETS)} <= set(
        Settings.model_fields
    )
    for name, value in given.items():
        assert isinstance(value, str), f"a ConfigMap holds text, {name} is {value!r}"
        monkeypatch.setenv(name, value)
    found = Settings()
    assert (found.trainer, found.watch_seconds, found.lake[:5]) == ("kubernetes", 15.0, "s3://")


def test_no_secret_is_in_the_values() -> None:
    assert not settings_of(BASE).keys() & SECRETS
    for path, value in leaves(SYNCED):
        assert not re.search(r"\.(pass|password|fernetKey|jwtSecret|apiSecretKey)$", path), path
        assert not re.search(r"://[^/\s]*@", str(value)), f"{path} has a password in its URL"


def test_the_page_says_how_to_make_each_secret() -> None:
    page = (PROJECT / "docs" / "fleet.md").read_text()
    named = {str(value) for path, value in leaves(SYNCED) if re.search(r"Secret(Name)?$", path)}
    for name in named | {"evergreen-secrets", settings_of(BASE)["EVERGREEN_TRAINING_SECRET"]}:
        assert re.search(rf"create secret generic {name}\b", page), name


def test_the_version_is_that_of_the_lock() -> None:
    lock = (PROJECT / "requirements.txt").read_text()
    assert f"\napache-airflow=={BASE['airflowVersion']} " in lock


def test_accounts_that_may_train_are_those_of_workers_and_triggerers() -> None:
    binding = yaml.safe_load((FOLDER / "training-access.yaml").read_text())
    accounts = {BASE[part]["serviceAccount"]["name"] for part in ("workers", "triggerer")}
    assert {subject["name"] for subject in binding["subjects"]} == accounts
    roles = (PROJECT / "include" / "deploy" / "kubernetes" / "airflow.yaml").read_text()
    role = next(each for each in yaml.safe_load_all(roles) if each["kind"] == "Role")
    assert role["metadata"]["name"] == binding["roleRef"]["name"]
    namespace = settings_of(BASE)["EVERGREEN_KUBERNETES_NAMESPACE"]
    assert binding["metadata"]["namespace"] == role["metadata"]["namespace"] == namespace


@pytest.mark.parametrize("part", ["", "statsd", "dags.gitSync"])
def test_contexts_keep_the_restricted_standard(part: str) -> None:
    found = SYNCED
    for name in filter(None, part.split(".")):
        found = found[name]
    given = found["securityContexts"]
    pod = given.get("pod", BASE["securityContexts"]["pod"])
    own = given.get("container") or given["containers"]
    spec = {"securityContext": pod, "containers": [{"name": "it", "securityContext": own}]}
    assert violations(spec) == []


def test_every_component_says_what_it_needs() -> None:
    for part in ("apiServer", "scheduler", "dagProcessor", "triggerer", "workers", "migrateDatabaseJob", "statsd"):
        assert BASE[part]["resources"]["requests"].keys() == {"cpu", "memory"}, part
        assert "memory" in BASE[part]["resources"]["limits"], part


@pytest.mark.parametrize("found", [BASE, SYNCED], ids=["image", "git-sync"])
def test_the_chart_knows_every_key(found: Json) -> None:
    chart = os.environ.get(CHART)
    if not chart:
        pytest.skip(f"{CHART} names no chart: helm pull apache-airflow/airflow --untar, and set it to the folder")
    schema = json.loads((Path(chart) / "values.schema.json").read_text())
    errors = [f"{error.json_path}: {error.message}" for error in Draft7Validator(schema).iter_errors(found)]
    defaults = yaml.safe_load((Path(chart) / "values.yaml").read_text())
    assert errors == []
    assert unknown(found, defaults, schema) == []


def unknown(found: Json, defaults: Any, schema: Json, path: str = "$") -> list[str]:
    """Keys that neither the chart's own values nor its schema have: Helm takes them and nothing reads them."""
    described = schema.get("properties", {})
    if not described and not defaults:  # free form: labels, resources, data
        return []
    strange = []
    for key, value in found.items():
        known = isinstance(defaults, dict) and key in defaults
        if not known and key not in described and path not in {"$.config.core", "$.config.api"}:
            strange.append(f"{path}.{key}")
        elif isinstance(value, dict):
            below = defaults.get(key) if isinstance(defaults, dict) else None
            strange += unknown(value, below, described.get(key, {}), f"{path}.{key}")
    return strange
