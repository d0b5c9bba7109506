"""A real Airflow under FAB: each account does what its role says, and nothing else."""

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from include.local.airflow import Airflow
from include.local.api import Api
from tests.access.matrix import MATRIX, PEOPLE, Answer, token, walk
from tests.integration.world import copy_with_demand, until

pytestmark = pytest.mark.integration

USE_CASES = ("demand", "flights")
DAGS = sorted(f"{name}_{kind}" for name in USE_CASES for kind in ("ingest", "retrain", "rollback", "score"))
MANAGER = "evergreen.access.manager.EvergreenFabAuthManager"


@dataclass
class Team:
    """An Airflow with accounts."""

    airflow: Airflow
    passwords: dict[str, str]

    def make_accounts(self, **changes: str) -> subprocess.CompletedProcess[str]:
        """What the stack's one-off container does."""
        return self.python("evergreen.access", **changes)

    def python(self, *module: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a module in the environment that all containers share."""
        command = [sys.executable, "-m", *module]
        env = {**self.airflow.env, **environment(self.passwords), **changes}
        return subprocess.run(
            command, cwd=self.airflow.project, env=env, capture_output=True, text=True, timeout=120, check=False
        )

    def fab(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Ask FAB's own API as the admin."""
        url = f"{self.airflow.url}/auth/fab/v1{path}"
        bearer = {"Authorization": f"Bearer {token(self.airflow.url, 'admin', self.passwords['admin'])}"}
        answer = requests.request(method, url, json=body, headers=bearer, timeout=60, proxies={"http": ""})
        assert answer.ok, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def api(self, account: str) -> Api:
        """A client that logs in as `account`."""
        return Api(self.airflow.url, account, self.passwords[account])


def environment(passwords: dict[str, str]) -> dict[str, str]:
    """The variables that carry the passwords."""
    triggers = {name: passwords[f"{name}-upstream"] for name in USE_CASES}
    return {
        **{f"AIRFLOW_{name.upper()}_PASSWORD": passwords[name] for name in PEOPLE},
        "AIRFLOW_TRIGGER_PASSWORDS": json.dumps(triggers),
    }


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Two use cases; the accounts are made before any DAG was parsed, as in a new stack."""
    folder = tmp_path_factory.mktemp("access")
    names = [*PEOPLE, *(f"{name}-upstream" for name in USE_CASES)]
    passwords = {name: secrets.token_urlsafe(18) for name in names}
    airflow = Airflow(folder / "home", {"AIRFLOW__CORE__AUTH_MANAGER": MANAGER}, project=copy_with_demand(folder / "p"))
    made = Team(airflow, passwords)
    assert made.python("airflow", "db", "migrate").returncode == 0
    done = made.make_accounts()
    assert done.returncode == 0, done.stderr
    assert not [word for word in passwords.values() if word in done.stdout + done.stderr]
    try:
        for component in ("api-server", "dag-processor"):
            airflow.start_component(component)
        until(lambda: answers(airflow), 90)
        until(lambda: set(DAGS) <= set(made.api("admin").dags()), 60)
        yield made
    finally:
        airflow.stop()


def answers(airflow: Airflow) -> bool:
    """Whether the API server is up."""
    airflow.check()
    with suppress(requests.RequestException):
        return requests.get(f"{airflow.url}/api/v2/monitor/health", timeout=30, proxies={"http": ""}).ok
    return False


@pytest.fixture(scope="module")
def walked(team: Team) -> list[Answer]:
    """The whole matrix, asked once."""
    return walk(team.airflow.url, team.passwords, team.airflow.secrets.jwt)


def test_the_matrix_holds(walked: list[Answer]) -> None:
    wrong = [
        f"{role} {method} {path}: expected {expected}, got {got}"
        for role, method, path, expected, got in walked
        if expected != got
    ]
    assert wrong == []


def test_the_matrix_is_no_empty_promise(team: Team, walked: list[Answer]) -> None:
    assert len(walked) > len(MATRIX) * len(team.passwords)
    for account in team.passwords:
        assert {200, 403} <= {got for role, *_, got in walked if role == account}


def test_an_upstream_job_starts_its_own_dag_and_sees_no_other(team: Team) -> None:
    job = team.api("flights-upstream")
    assert job.dags() == ["flights_ingest"]
    assert job.trigger("flights_ingest", "from-upstream", {"reason": "nightly export"})
    assert job.run("flights_ingest", "from-upstream")["state"] == "queued"
    assert not job.trigger("flights_ingest", "from-upstream"), "the same id again is the same run"
    assert [run["dag_run_id"] for run in job.runs("flights_ingest")] == ["from-upstream"]
    team.api("admin").call("DELETE", "/dags/flights_ingest/dagRuns/from-upstream")


def test_an_approver_goes_back_and_pauses_nothing(team: Team) -> None:
    approver = team.api("approver")
    assert approver.trigger("flights_rollback", "bad-champion", {"reason": "it scores nonsense"})
    assert approver.call("PATCH", "/dags/flights_rollback", {"is_paused": True}).status_code == 403
    team.api("admin").call("DELETE", "/dags/flights_rollback/dagRuns/bad-champion")


def test_an_operator_pauses_and_clears(team: Team) -> None:
    operator = team.api("operator")
    for paused in (True, False):
        assert operator.call("PATCH", "/dags/demand_score", {"is_paused": paused}).json()["is_paused"] is paused
    assert operator.call("POST", "/dags/demand_ingest/clearTaskInstances", {"dry_run": True}).status_code == 200


def test_the_login_form_is_no_place_for_guessing(team: Team) -> None:
    with requests.Session() as browser:
        browser.trust_env = False
        url = f"{team.airflow.url}/auth/login/"
        page = browser.get(url, timeout=60).text
        crumb = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)
        assert crumb, page
        guess = {"username": "admin", "password": "admin", "csrf_token": crumb[1]}
        codes = [browser.post(url, data=guess, timeout=60, allow_redirects=False).status_code for _ in range(7)]
        assert codes[-1] == 429, codes
        assert browser.get(f"{team.airflow.url}/auth/register/form", timeout=60).status_code == 404


def test_again_gives_the_same_and_takes_back_what_was_added(team: Team) -> None:
    before = rights(team)
    role = "flights-upstream"
    more = {"name": role, "actions": [{"action": {"name": "can_read"}, "resource": {"name": "Connections"}}]}
    team.fab("PATCH", f"/roles/{role}", more)
    assert rights(team)[role] != before[role]
    for _ in range(2):
        assert team.make_accounts().returncode == 0
        assert rights(team) == before


def test_a_new_password_takes_the_place_of_the_old_one(team: Team) -> None:
    old = team.passwords["viewer"]
    team.passwords["viewer"] = secrets.token_urlsafe(18)
    assert team.make_accounts().returncode == 0
    assert team.api("viewer").call("GET", "/dags").status_code == 200
    login = {"username": "viewer", "password": old}
    assert requests.post(f"{team.airflow.url}/auth/token", json=login, timeout=30).status_code == 401


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AIRFLOW_OPERATOR_PASSWORD", ""),
        ("AIRFLOW_ADMIN_PASSWORD", "admin"),
        ("AIRFLOW_TRIGGER_PASSWORDS", '{"flights": "0123456789abcdef"}'),
        ("AIRFLOW_TRIGGER_PASSWORDS", '{"flights": "0123456789abcde", "demand": "0123456789abcdef"}'),
        ("AIRFLOW_TRIGGER_PASSWORDS", "0123456789abcdef"),
    ],
)
def test_without_a_good_password_nothing_is_made(team: Team, variable: str, value: str) -> None:
    done = team.make_accounts(**{variable: value})
    assert done.returncode == 67, done.stderr
    assert variable in done.stderr
    assert "make secrets" in done.stderr
    assert "0123456789abcde" not in done.stdout + done.stderr


def test_a_use_case_that_is_gone_leaves_no_way_in(team: Team) -> None:
    folder = team.airflow.project / "include" / "use_cases" / "demand"
    aside = folder.rename(team.airflow.folder / "demand")
    left = json.dumps({"flights": team.passwords["flights-upstream"]})
    try:
        assert team.make_accounts(AIRFLOW_TRIGGER_PASSWORDS=left).returncode == 0
        with pytest.raises(Exception, match="401"):
            team.api("demand-upstream").dags()
        assert "demand-upstream" not in rights(team)
    finally:
        aside.rename(folder)
    assert team.make_accounts().returncode == 0
    assert team.api("demand-upstream").dags() == ["demand_ingest"]


def rights(team: Team) -> dict[str, set[tuple[str, str]]]:
    """Every role's rights, as the admin reads them."""
    return {
        role["name"]: {(right["action"]["name"], right["resource"]["name"]) for right in role["actions"]}
        for role in team.fab("GET", "/roles?limit=100")["roles"]
    }
