"""The Feast feature store of a use case, as `feature_store.yaml` declares it and the settings fill it."""

import include.features.lean  # noqa: F401  (before feast)

# isort: split
import hashlib
import importlib.util
import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import feast
import yaml
from feast import Entity, FeatureService, FeatureStore, OnDemandFeatureView, Project
from feast.base_feature_view import BaseFeatureView
from feast.data_source import DataSource
from feast.errors import FeastModuleImportError, ProjectNotFoundException, ProjectObjectNotFoundException
from feast.repo_config import RepoConfig

from include.contracts.digest import digest_of
from include.contracts.errors import PolicyError
from include.contracts.use_case import UseCase
from include.features.lock import exclusive
from include.settings import Settings, settings

DECLARATION = "feature_store.yaml"
REDIS = ("redis://", "rediss://")
DIGEST = "declared"
"""Tag of the Feast project that says which declaration was applied last."""


def open_store(use_case: UseCase) -> FeatureStore:
    """The store of `use_case`, with `feature_repo/<use case>.py` applied to its registry.

    Raises:
        PolicyError: If the declaration is missing, does not import, or lacks the use case's feature service.
    """
    found = settings()
    objects = _declared(_declaration(use_case), use_case)
    config = configuration(use_case.name)
    digest = digest_of([feast.__version__, config.online_config, declaration_digest(use_case)])
    with exclusive("feast_registry"), quiet():
        store = FeatureStore(repo_path=str(found.feature_repo), config=config)
        if _applied(store) != digest or not _online_exists(found):
            store.apply([Project(name=use_case.name, tags={DIGEST: digest}), *objects])
    return store


def service(store: FeatureStore, use_case: UseCase) -> FeatureService:
    """The feature service that defines the model's inputs."""
    return store.get_feature_service(use_case.feature_service)


def feature_names(feature_service: FeatureService) -> tuple[str, ...]:
    """Names of the service's features, in the order of their declaration."""
    return tuple(feature.name for view in feature_service.feature_view_projections for feature in view.features)


def declaration_digest(use_case: UseCase) -> str:
    """SHA-256 of `feature_repo/<use case>.py`."""
    return hashlib.sha256(_declaration(use_case).read_bytes()).hexdigest()


def environment(use_case: str) -> dict[str, str]:
    """What the variables of `feature_store.yaml` stand for."""
    found = settings()
    return {
        "EVERGREEN_USE_CASE": use_case,
        "EVERGREEN_LAKE": found.lake,
        "EVERGREEN_FEAST_REGISTRY": found.feast_registry,
        "EVERGREEN_FEAST_ONLINE_STORE": json.dumps(_online_store(found.feast_online)),
    }


def configuration(use_case: str) -> RepoConfig:
    """`feature_store.yaml`, filled."""
    repo = settings().feature_repo
    text = (repo / DECLARATION).read_text()
    for name, value in environment(use_case).items():
        text = text.replace(f"${{{name}}}", value)
    try:
        return RepoConfig(**yaml.safe_load(text), repo_path=repo)
    except FeastModuleImportError as error:
        cause = f"{error}: {error.__cause__}"
        raise PolicyError(str(repo / DECLARATION), cause, "install what it needs, such as feast[redis]") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Send what Feast prints to standard error: a step's standard output is its answer."""
    with redirect_stdout(sys.stderr):
        yield


def _declaration(use_case: UseCase) -> Path:
    return settings().feature_repo / f"{use_case.name}.py"


def _online_store(place: str) -> dict[str, str]:
    if not place.startswith(REDIS):
        return {"type": "sqlite", "path": place}
    parts = urlsplit(place)
    options = {"db": parts.path.strip("/") or "0"}
    if parts.scheme == "rediss":
        options["ssl"] = "true"
    for name, value in {"username": parts.username, "password": parts.password}.items():
        if value:  # Feast parts the options at commas and reads each as JSON
            options[name] = json.dumps(unquote(value)).replace(",", r"\u002c")
    said = [f"{name}={value}" for name, value in options.items()]
    return {"type": "redis", "connection_string": ",".join([f"{parts.hostname}:{parts.port or 6379}", *said])}


def _online_exists(found: Settings) -> bool:
    return found.feast_online.startswith(REDIS) or Path(found.feast_online).is_file()


def _applied(store: FeatureStore) -> str | None:
    try:
        return str(store.get_project(store.project).tags.get(DIGEST))
    except (ProjectNotFoundException, ProjectObjectNotFoundException):
        return None


def _declared(path: Path, use_case: UseCase) -> list[Any]:
    """The Feast objects of a declaration, the feature service among them."""
    kinds = (Entity, BaseFeatureView, OnDemandFeatureView, FeatureService, DataSource)
    found = vars(_module(path)).values()
    objects = list({id(each): each for each in found if isinstance(each, kinds)}.values())
    services = sorted(each.name for each in objects if isinstance(each, FeatureService))
    if use_case.feature_service not in services:
        raise PolicyError(
            str(path),
            f"declares no FeatureService {use_case.feature_service!r}; it has {services or 'none'}",
            f"name it in {path.name}, or correct feature_service in use_case.py",
        )
    return objects


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"feature_repo_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise PolicyError(str(path), "no such file", "declare entities, views and a FeatureService there")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # user land: whatever is wrong there is one error here
        raise PolicyError(str(path), f"{type(error).__name__}: {error}", "correct the file") from error
    return module


if __name__ == "__main__":
    print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment(sys.argv[1]).items()))
