"""Where the demo keeps everything: a folder, an S3 server beside it, or servers that training pods reach too."""

import argparse
import os
import time
from contextlib import ExitStack
from pathlib import Path

from include.contracts.errors import PolicyError
from include.demo.screen import Screen
from include.local.cluster import SECRET, Cluster
from include.local.mlflow_server import MlflowServer
from include.local.process import LOOPBACK
from include.local.seaweedfs import SeaweedFS

BUCKET = "evergreen"


def places(state: Path, given: argparse.Namespace, stack: ExitStack, screen: Screen) -> dict[str, str]:
    """Start the servers that are asked for.

    Args:
        state: Folder of all state.
        given: The command line: `s3`, `trainer`, `image`, `host`.
        stack: Ends what is started.
        screen: Is told.

    Returns:
        Environment that says where everything is; the demo itself reads it too.
    """
    env = {"EVERGREEN_HOME": str(state)}
    image = given.image or os.environ.get("EVERGREEN_TRAINING_IMAGE", "")
    if given.trainer == "kubernetes" and not image:
        cause = "TRAINER=kubernetes needs the name of the training image"
        raise PolicyError("demo", cause, "give IMAGE=NAME:TAG, which the cluster's nodes have or can pull")
    cluster = Cluster() if given.trainer == "kubernetes" else None
    host = (given.host or (cluster.host() if cluster else "")) or LOOPBACK
    if given.s3 or cluster:
        env |= _s3(state, host, stack, screen)
    if cluster:
        os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), host]))
        env |= _mlflow(state, host, env, stack, screen) | _pods(state, image, cluster, env, screen)
    os.environ.update(env)
    return env


def _s3(state: Path, host: str, stack: ExitStack, screen: Screen) -> dict[str, str]:
    began = time.monotonic()
    server = stack.enter_context(SeaweedFS(state / "s3", host))
    server.create_bucket(BUCKET)
    screen.line("S3", f"SeaweedFS up in {time.monotonic() - began:.1f} s at {server.url}")
    roots = {name: f"s3://{BUCKET}/{name}" for name in ("lake", "landing", "artifacts")}
    found = {f"EVERGREEN_{name.upper()}": uri for name, uri in roots.items()}
    return server.environment() | found | {"EVERGREEN_MLFLOW_ARTIFACTS": f"s3://{BUCKET}/mlflow"}


def _mlflow(state: Path, host: str, env: dict[str, str], stack: ExitStack, screen: Screen) -> dict[str, str]:
    """Pods cannot open a SQLite file of ours: one server stands before it, for them and for all others."""
    began = time.monotonic()
    store = f"sqlite:///{state / 'mlflow.db'}"
    server = MlflowServer(state, store, env["EVERGREEN_MLFLOW_ARTIFACTS"], env, host)
    stack.enter_context(server)
    server.wait_until_ready()
    screen.line("MLflow", f"up in {time.monotonic() - began:.0f} s at {server.url}")
    return {"EVERGREEN_MLFLOW_URI": server.url, "EVERGREEN_MLFLOW_UI": server.url}


def _pods(state: Path, image: str, cluster: Cluster, env: dict[str, str], screen: Screen) -> dict[str, str]:
    cluster.prepare(env)
    config = cluster.write_kubeconfig(state / "kubeconfig.yaml")
    screen.line("Kubernetes", f"namespace {cluster.namespace} (restricted), training in pods of {image}")
    return {
        "EVERGREEN_TRAINER": "kubernetes",
        "EVERGREEN_TRAINING_IMAGE": image,
        "EVERGREEN_TRAINING_SECRET": SECRET,
        "EVERGREEN_KUBERNETES_NAMESPACE": cluster.namespace,
        "KUBECONFIG": str(config),
    }
