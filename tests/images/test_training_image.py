"""The training image as a container: without root, with a read-only file system, and the same model as here."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.contracts.training import TrainingManifest, TrainingSpec
from include.local.mlflow_server import MlflowServer
from include.local.seaweedfs import SeaweedFS
from include.models.manifest import MODEL
from tests.images.docker import Docker, NotHereError, base, docker, wanted_for_a_build
from tests.model_world import rows, spec

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
IMAGE = "evergreen-training:test"
LOCKED_AWAY = ["--read-only", "--tmpfs=/tmp:size=1g", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Docker]:
    try:
        with docker() as found:
            yield found
    except NotHereError as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def image(daemon: Docker) -> str:
    """The image, built by the target that people use."""
    try:
        given = [f"BASE={base(daemon)}", f"IMAGE={IMAGE}", "BUILD=--network=host", f"PYTHON={sys.executable}"]
    except NotHereError as why:
        pytest.skip(str(why))
    given += wanted_for_a_build()
    env = {**daemon.env, "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0")}
    done = subprocess.run(
        ["make", "image-training", *given], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"\n  {done.stdout.splitlines()[-1]}")
    return IMAGE


@dataclass(frozen=True)
class Services:
    """A real S3 server and a real MLflow server."""

    env: dict[str, str]

    def put(self, uri: str, content: bytes) -> None:
        """Write an object."""
        self._client().put_object(**self._place(uri), Body=content)

    def get(self, uri: str) -> bytes:
        """Read an object."""
        return bytes(self._client().get_object(**self._place(uri))["Body"].read())

    @staticmethod
    def _place(uri: str) -> dict[str, str]:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": key}

    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )


@pytest.fixture(scope="module")
def services(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("services")
    with SeaweedFS(home / "s3") as s3:
        s3.create_bucket("evergreen")
        keys = s3.environment()
        store = f"sqlite:///{home / 'mlflow.db'}"
        with MlflowServer(home, store, "s3://evergreen/mlflow", keys) as mlflow:
            mlflow.wait_until_ready()
            artifacts = {"EVERGREEN_MLFLOW_ARTIFACTS": "s3://evergreen/mlflow"}  # straight to S3, not through MLflow
            yield Services({**keys, **artifacts, "EVERGREEN_MLFLOW_URI": mlflow.url})


def placed(services: Services, home: Path, request: str) -> tuple[TrainingSpec, str]:
    """A spec and its training set in the bucket."""
    made = spec(home, rows(), request=request)
    content = Path(made.training_set.uri).read_bytes()
    uri = f"s3://evergreen/toy/training_sets/{hashlib.sha256(content).hexdigest()}.parquet"
    services.put(uri, content)
    moved = made.model_copy(
        update={
            "training_set": made.training_set.model_copy(update={"uri": uri}),
            "output_uri": f"s3://evergreen/toy/training/{request}",
        }
    )
    place = f"s3://evergreen/toy/training/{request}/spec.json"
    services.put(place, moved.model_dump_json().encode())
    return moved, place


def container(services: Services, *more: str) -> list[str]:
    given = [f"--env={name}={value}" for name, value in services.env.items()]
    return ["run", "--rm", "--network", "host", "--memory", "4g", *LOCKED_AWAY, *given, IMAGE, *more]


def test_it_trains_the_same_model_as_the_local_process(daemon: Docker, services: Services, tmp_path: Path) -> None:
    local, here = placed(services, tmp_path, "local")
    pod, there = placed(services, tmp_path, "pod")
    env = {**os.environ, **services.env}
    command = [sys.executable, "-m", "include.training", "--spec", here]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ran = daemon.run(*container(services, "python", "-m", "include.training", "--spec", there))
    assert ran.returncode == 0, ran.stderr
    mine = TrainingManifest.model_validate_json(services.get(f"{local.output_uri}/manifest.json"))
    theirs = TrainingManifest.model_validate_json(services.get(f"{pod.output_uri}/manifest.json"))
    assert json.loads(ran.stdout)["spec_digest"] == theirs.spec_digest == pod.digest
    assert theirs.packages["xgboost"] == mine.packages["xgboost"]
    assert theirs.artifacts[MODEL].digest == mine.artifacts[MODEL].digest
    assert theirs.metrics == mine.metrics
    found = services.get(theirs.artifacts[MODEL].uri)
    assert hashlib.sha256(found).hexdigest() == theirs.artifacts[MODEL].digest
    assert pl.read_parquet(services.get(theirs.artifacts["reference.parquet"].uri)).height > 0


def test_a_missing_gpu_ends_with_the_code_that_a_retry_may_mend(
    daemon: Docker, services: Services, tmp_path: Path
) -> None:
    given, _ = placed(services, tmp_path, "gpu")
    place = "s3://evergreen/toy/training/gpu/required.json"
    services.put(place, given.model_copy(update={"device": "cuda", "require_gpu": True}).model_dump_json().encode())
    ran = daemon.run(*container(services, "python", "-m", "include.training", "--spec", place))
    assert ran.returncode == 75, ran.stderr
    assert "no GPU is visible" in ran.stderr


INSIDE = """
import importlib.metadata, json, os, xgboost
names = sorted({d.metadata["Name"].lower() for d in importlib.metadata.distributions()})
try:
    open("/app/here", "w"); wrote = True
except OSError:
    wrote = False
print(json.dumps({"uid": os.getuid(), "names": names, "wrote": wrote, "cuda": xgboost.build_info()["USE_CUDA"]}))
"""


def test_it_is_nobody_writes_nowhere_and_brings_no_more_than_it_needs(daemon: Docker, services: Services) -> None:
    ran = daemon.run(*container(services, "python", "-c", INSIDE))
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said["uid"] == 65532
    assert not said["wrote"]
    assert said["cuda"]
    assert not {"apache-airflow", "feast", "great-expectations", "evidently", "pip", "deltalake"} & set(said["names"])
    assert {"xgboost", "mlflow-skinny"} <= set(said["names"])
