"""Settings: laptop defaults below one folder, everything else from the environment, all of it in docs/settings.md."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from include.settings import PROJECT, Settings, settings


def test_everything_without_a_uri_of_its_own_is_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    found = settings()
    places = (found.lake, found.landing, found.artifacts, found.ledger_url, found.mlflow_uri, found.feast_online)
    assert all(str(tmp_path) in place for place in places)


def test_the_environment_is_read_on_each_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.setenv("EVERGREEN_LAKE", "s3://bucket/one")
    assert settings().lake == "s3://bucket/one"
    monkeypatch.setenv("EVERGREEN_LAKE", "s3://bucket/two")
    assert settings().lake == "s3://bucket/two"


def test_a_tracking_server_chooses_its_own_artifact_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_MLFLOW_URI", "http://mlflow:5000")
    assert Settings().mlflow_artifacts == ""


def test_an_unknown_trainer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_TRAINER", "kubernets")
    with pytest.raises(ValidationError, match="trainer"):
        Settings()


def test_the_page_names_every_setting_and_no_other() -> None:
    page = (PROJECT / "docs" / "settings.md").read_text()
    documented = set(re.findall(r"^\| `EVERGREEN_([A-Z0-9_]+)`", page, re.MULTILINE))
    assert documented == {name.upper() for name in Settings.model_fields}
