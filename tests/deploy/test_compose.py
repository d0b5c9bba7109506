"""docker-compose.yaml: every service locked down, nothing with a default password, and Compose accepts it."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.local.environment import PRELOAD
from include.settings import PROJECT, Settings
from include.stack.secrets import read, use_case_names, write_secrets

FILE = PROJECT / "docker-compose.yaml"
DECLARED: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = DECLARED["services"]
EXACT = re.compile(r"^[\w./-]+:v?\d+(\.\d+)+(-\w+)?$")
SECRET = re.compile(r"PASSWORD|SECRET|_KEY\b|FERNET|JWT")
VARIABLE = re.compile(r"\$\{(\w+)(:?[?-][^}]*)?\}")


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in (service.get("environment") or {}).items()}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_locked_down(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "privileged" not in service
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_an_image_has_an_exact_version(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image == "${EVERGREEN_IMAGE:-evergreen:dev}" or EXACT.match(image)


def test_no_secret_has_a_default_and_each_is_made() -> None:
    text = "\n".join(line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#"))
    named = {name: rule or "" for name, rule in VARIABLE.findall(text)}
    secret = {name for name in named if SECRET.search(name)} - {"EVERGREEN_TRAINING_SECRET"}  # a Secret's name
    assert secret, "the pattern finds nothing"
    assert {name: named[name] for name in secret if not named[name].startswith(":?")} == {}


def test_make_secrets_makes_all_that_compose_asks_for(tmp_path: Path) -> None:
    write_secrets(tmp_path / ".env", use_case_names(PROJECT / "include" / "use_cases"))
    asked = {name for name, rule in VARIABLE.findall(FILE.read_text()) if rule.startswith(":?")}
    assert asked == set(read((tmp_path / ".env").read_text()))


def test_only_published_services_and_those_that_must_reach_out_have_a_way_out() -> None:
    assert DECLARED["networks"]["edge"] == {}
    assert all(DECLARED["networks"][name]["internal"] for name in DECLARED["networks"] if name != "edge")
    out = {name for name, service in SERVICES.items() if "edge" in service["networks"]}
    reaching = {"airflow-worker", "airflow-triggerer", "metrics"}
    assert out == {name for name, service in SERVICES.items() if service.get("ports")} | reaching


def test_workers_do_not_hold_airflows_database_and_its_own_parts_do_not_hold_the_loops_keys() -> None:
    assert "AIRFLOW_DB_PASSWORD" not in str(environment(SERVICES["airflow-worker"]))
    for name in ("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor"):
        held = str(environment(SERVICES[name]))
        assert "S3_LOOP" not in held
        assert "LEDGER_DB" not in held
        assert "MLFLOW_PROMOTER" not in held


def test_every_setting_that_a_service_is_given_exists() -> None:
    known = {f"EVERGREEN_{name.upper()}" for name in Settings.model_fields}
    given = {key for service in SERVICES.values() for key in environment(service) if key.startswith("EVERGREEN_")}
    assert given - known - {"EVERGREEN_PRELOAD"} == set()


def test_workers_load_before_they_fork_what_the_local_airflow_loads() -> None:
    assert environment(SERVICES["airflow-worker"])["EVERGREEN_PRELOAD"] == PRELOAD


@pytest.mark.parametrize("name", ["airflow-worker", "airflow-scheduler", "mlflow", "postgres", "valkey", "seaweedfs"])
def test_a_server_says_how_it_is(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.fixture
def compose(tmp_path: Path) -> list[str]:
    """The command line, with a `.env` of its own."""
    found = next(
        (
            command
            for command in (["docker", "compose"], ["docker-compose"])
            if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode
        ),
        None,
    )
    if found is None:
        pytest.skip("no Compose here: docker compose, or Debian's docker-compose")
    return [*found, "--env-file", str(tmp_path / ".env"), "--file", str(FILE)]


def config(compose: list[str], profiles: str = "") -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if not SECRET.search(name)}
    env["COMPOSE_PROFILES"] = profiles
    return subprocess.run([*compose, "config"], cwd=PROJECT, env=env, capture_output=True, text=True, check=False)


def test_compose_accepts_the_file_with_every_profile(compose: list[str], tmp_path: Path) -> None:
    write_secrets(tmp_path / ".env", ["flights"])
    said = config(compose, "observability,lineage")
    assert said.returncode == 0, said.stderr
    assert set(yaml.safe_load(said.stdout)["services"]) == set(SERVICES)


def test_compose_refuses_to_start_without_secrets(compose: list[str], tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("")
    said = config(compose)
    assert said.returncode != 0
    assert "make secrets" in said.stderr
    assert re.search(r"[A-Z0-9_]+_(PASSWORD|SECRET|KEY)", said.stderr)
