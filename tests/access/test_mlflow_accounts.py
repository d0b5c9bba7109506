"""A real MLflow with accounts: the project's own code runs under them, and gets no further than it must."""

import json
import os
import secrets
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from include.contracts.errors import ModelError, PolicyError
from include.ledger import Ledger
from include.local.process import LOOPBACK, Process, free_ports
from include.local.seaweedfs import SeaweedFS
from include.models.manifest import read_manifest
from include.models.tracking import client, experiment
from include.promotion import registry
from include.promotion.registry import mirror, register, versions
from include.settings import PROJECT
from include.stack.mlflow_accounts import make_accounts
from include.stack.mlflow_server import prepare_server
from include.training.trainer import run
from tests.integration.world import until
from tests.model_world import crowned, rows, spec

pytestmark = pytest.mark.integration

ACCOUNTS = ("admin", "trainer", "promoter", "viewer")
API = "/api/2.0/mlflow"


@dataclass
class Team:
    """An MLflow with accounts."""

    url: str
    folder: Path
    passwords: dict[str, str]

    @contextmanager
    def serving(self) -> Iterator[None]:
        """The server, started as the stack starts it."""
        prepare_server(f"sqlite:///{self.folder / 'accounts.db'}", self.folder / "auth.ini")
        started = command(self.folder, self.url)
        process = Process("mlflow", started, self.folder / "mlflow.log", server(self.folder), PROJECT)
        try:
            until(lambda: up(process, self.url), 120)
            yield
        finally:
            process.stop()

    @contextmanager
    def as_(self, account: str) -> Iterator[None]:
        """What the environment of a process says that runs under `account`."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_USERNAME", account)
            patch.setenv("MLFLOW_TRACKING_PASSWORD", self.passwords[account])
            yield

    def ask(self, account: str, method: str, path: str, **body: object) -> int:
        """Status of one request."""
        login = (account, self.passwords[account]) if account else None
        return requests.request(
            method, f"{self.url}{path}", json=body or None, auth=login, timeout=60, proxies={"http": ""}
        ).status_code


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """As in the stack: accounts in a database of their own, artifacts straight to S3, no proxy."""
    folder = tmp_path_factory.mktemp("mlflow")
    passwords = {name: secrets.token_urlsafe(18) for name in ACCOUNTS}
    url = f"http://{LOOPBACK}:{free_ports(1)[0]}"
    with SeaweedFS(folder / "s3") as s3, pytest.MonkeyPatch.context() as patch:
        s3.create_bucket("evergreen")
        for name, value in {**s3.environment(), **settings(folder, url, passwords)}.items():
            patch.setenv(name, value)
        made = Team(url, folder, passwords)
        with made.serving():
            make_accounts(["toy", "other"])
            yield made


def settings(folder: Path, url: str, passwords: dict[str, str]) -> dict[str, str]:
    """Variables of everybody who speaks with this MLflow."""
    return {
        "EVERGREEN_HOME": str(folder / "home"),
        "EVERGREEN_ARTIFACTS": str(folder / "home" / "artifacts"),
        "EVERGREEN_LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        "EVERGREEN_MLFLOW_URI": url,
        "EVERGREEN_MLFLOW_ARTIFACTS": "",
        "NO_PROXY": LOOPBACK,
        "no_proxy": LOOPBACK,
        **{f"MLFLOW_{name.upper()}_PASSWORD": value for name, value in passwords.items()},
    }


def server(folder: Path) -> dict[str, str]:
    """The server's environment."""
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def command(folder: Path, url: str) -> list[str]:
    """How the stack starts it."""
    options = ["--host", LOOPBACK, "--port", url.rpartition(":")[2], "--workers", "1", "--app-name", "basic-auth"]
    options += ["--enable-workspaces", "--no-serve-artifacts", "--default-artifact-root", "s3://evergreen/mlflow"]
    store = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    return [sys.executable, "-m", "mlflow", "server", *options, *store]


def up(process: Process, url: str) -> bool:
    """Whether the server answers."""
    assert process.code is None, process.tail()
    try:
        return requests.get(f"{url}/health", timeout=5, proxies={"http": ""}).ok
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def trained(team: Team) -> str:
    """A model that the trainer has trained and logged; where its manifest is."""
    given = spec(team.folder, rows(800))
    with team.as_("trainer"):
        run(given)
    return f"{given.output_uri}/manifest.json"


def test_the_trainer_trains_and_stays_out_of_the_registry(team: Team, trained: str) -> None:
    manifest = read_manifest(trained)
    with team.as_("trainer"):
        place = client().get_logged_model(manifest.mlflow_model_id).artifact_location
        assert place.startswith("s3://evergreen/mlflow/")
        with pytest.raises(ModelError, match=r"403|PERMISSION_DENIED"):
            register(client(), manifest, trained, "accepted")
        assert versions(client(), "toy") == []


def test_the_promoter_registers_and_moves_the_aliases(team: Team, trained: str) -> None:
    manifest = read_manifest(trained)
    ledger = Ledger.at(f"sqlite:///{team.folder / 'ledger.db'}")
    with team.as_("promoter"):
        mlflow = client()
        assert register(mlflow, manifest, trained, "accepted") == 1
        assert register(mlflow, manifest, trained, "accepted") == 1
        assert mirror(mlflow, ledger, "toy") == {"challenger": 1}
        crowned(ledger, manifest, trained)
        assert mirror(mlflow, ledger, "toy") == {"champion": 1, "challenger": None}
        windows = mlflow.create_run(experiment(mlflow, "toy-monitoring"))
        mlflow.log_text(windows.info.run_id, "calm", "summary.md")
        mlflow.log_text(manifest.mlflow_run_id, "accepted", "verdict-1.txt")
    assert team.ask("promoter", "DELETE", f"{API}/model-versions/delete", name="toy", version="1") == 403
    assert team.ask("promoter", "DELETE", f"{API}/registered-models/delete", name="toy") == 403
    assert team.ask("promoter", "POST", f"{API}/runs/delete", run_id=manifest.mlflow_run_id) == 403
    assert team.ask("trainer", "POST", f"{API}/registered-models/alias", name="toy", alias="x", version="1") == 403


def test_a_second_version_made_at_once_stays_and_counts_for_nothing(
    team: Team, trained: str, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = read_manifest(trained)
    with team.as_("promoter"):
        mlflow = client()
        first = register(mlflow, manifest, trained, "accepted")
        tags = mlflow.get_model_version("toy", str(first)).tags
        assert registry._create(mlflow, manifest, tags[registry.DIGEST], tags) == first
        assert register(mlflow, manifest, trained, "accepted") == first
        assert len(versions(mlflow, "toy")) == 2
    assert "repeats an earlier one and stays" in caplog.text


def test_the_viewer_sees_all_and_touches_nothing(team: Team, trained: str) -> None:
    manifest = read_manifest(trained)
    with team.as_("viewer"):
        assert client().get_run(manifest.mlflow_run_id).info.status == "FINISHED"
        assert client().get_registered_model("other").name == "other"
    tag = {"run_id": manifest.mlflow_run_id, "key": "k", "value": "v"}
    assert team.ask("viewer", "POST", f"{API}/runs/set-tag", **tag) == 403
    assert team.ask("viewer", "POST", f"{API}/registered-models/set-tag", name="toy", key="k", value="v") == 403


@pytest.mark.parametrize("account", ["trainer", "promoter", "viewer"])
def test_nobody_but_the_admin_makes_or_grants_anything(team: Team, account: str) -> None:
    assert team.ask(account, "POST", f"{API}/experiments/create", name=f"of {account}") == 403
    assert team.ask(account, "POST", f"{API}/registered-models/create", name=f"of-{account}") == 403
    assert team.ask(account, "POST", f"{API}/users/create", username="mallory", password="m" * 20) == 403
    assert team.ask(account, "GET", "/api/3.0/mlflow/roles/list") == 403
    assert team.ask(account, "PATCH", f"{API}/users/update-admin", username=account, is_admin=True) == 403
    assert team.ask(account, "PATCH", f"{API}/users/update-password", username="admin", password="m" * 20) == 403


@pytest.mark.parametrize("account", ["trainer", "promoter"])
def test_an_experiment_of_nobody_stays_closed(team: Team, account: str) -> None:
    assert team.ask("admin", "POST", f"{API}/experiments/create", name=f"private {account}") == 200
    path = f"{API}/experiments/get-by-name?experiment_name=private {account}"
    assert team.ask(account, "GET", path) == 403
    assert team.ask("viewer", "GET", path) == 200


def test_nobody_gets_in_without_a_password(team: Team) -> None:
    wrong = Team(team.url, team.folder, dict.fromkeys(ACCOUNTS, "a wrong password"))
    for path in (f"{API}/experiments/search?max_results=1", "/", "/metrics"):
        assert team.ask("", "GET", path) == 401
        assert [wrong.ask(name, "GET", path) for name in ACCOUNTS] == [401] * len(ACCOUNTS)


def test_again_gives_the_same_and_takes_back_what_was_added(team: Team) -> None:
    with team.as_("admin"):
        from mlflow.server.auth.client import AuthServiceClient

        auth = AuthServiceClient(team.url)
        before = grants(auth)
        auth.grant_user_permission("trainer", "registered_model", "toy", "EDIT")
        role = next(role for role in auth.list_roles("default") if role.name == "viewer")
        auth.add_role_permission(role.id, "experiment", "1", "MANAGE")
        assert grants(auth) != before
        for _ in range(2):
            make_accounts(["toy", "other"])
            assert grants(auth) == before


def grants(auth: object) -> dict[str, set[tuple[str, str, str]]]:
    """Everything that an account may do, whichever role says so."""
    return {
        name: {
            (kept.resource_type, kept.resource_pattern, kept.permission)
            for role in auth.list_user_roles(name)  # type: ignore[attr-defined]
            for kept in auth.list_role_permissions(role.id)  # type: ignore[attr-defined]
        }
        for name in ACCOUNTS[1:]
    }


def test_new_passwords_take_the_place_of_the_old_ones(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://{LOOPBACK}:{free_ports(1)[0]}"
    old = Team(url, team.folder, dict(team.passwords))
    new = Team(url, team.folder, team.passwords)
    for name in ("admin", "promoter"):
        new.passwords[name] = secrets.token_urlsafe(18)
        monkeypatch.setenv(f"MLFLOW_{name.upper()}_PASSWORD", new.passwords[name])
    monkeypatch.setenv("EVERGREEN_MLFLOW_URI", url)
    with new.serving():
        make_accounts(["toy", "other"])
        for name in ("admin", "promoter"):
            assert new.ask(name, "GET", f"{API}/experiments/search?max_results=1") == 200
            assert old.ask(name, "GET", f"{API}/experiments/search?max_results=1") == 401


def test_the_settings_are_their_owners_and_survive_a_percent_sign(tmp_path: Path) -> None:
    made = tmp_path / "auth.ini"
    url = f"sqlite:///{tmp_path / 'a%20b.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ADMIN_PASSWORD", "0123456789abcdef")
        prepare_server(url, made)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert "0123456789abcdef" not in made.read_text()
    read = "from mlflow.server.auth.config import read_auth_config as r; import json; print(json.dumps(r()[:3]))"
    env = {**os.environ, "MLFLOW_AUTH_CONFIG_PATH": str(made)}
    done = subprocess.run([sys.executable, "-c", read], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == ["NO_PERMISSIONS", url, "admin"]


@pytest.mark.parametrize("value", ["", "short"])
@pytest.mark.parametrize("name", ACCOUNTS)
def test_without_a_good_password_nothing_is_made(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for each in ACCOUNTS:
        monkeypatch.setenv(f"MLFLOW_{each.upper()}_PASSWORD", "0123456789abcdef")
    monkeypatch.setenv(f"MLFLOW_{name.upper()}_PASSWORD", value)
    monkeypatch.setenv("EVERGREEN_MLFLOW_URI", f"http://{LOOPBACK}:9")
    with pytest.raises(PolicyError, match=f"(?s)MLFLOW_{name.upper()}_PASSWORD.*make secrets"):
        make_accounts(["toy"])
