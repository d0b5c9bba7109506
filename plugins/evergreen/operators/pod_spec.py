"""The pod that carries out one training: plain JSON as Kubernetes takes it, within the restricted standard."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value

from include.contracts.errors import PolicyError
from include.contracts.training import TrainingSpec
from include.settings import Settings

Json = dict[str, Any]
USE_CASE, RUN, SPEC, ATTEMPT = (f"evergreen/{name}" for name in ("use-case", "run", "spec", "attempt"))
"""Labels."""
CONTAINER = "base"
GPU = "nvidia.com/gpu"
GRACE = 30
"""Seconds between SIGTERM and SIGKILL in a pod that is deleted."""
USER = 1000
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
TAG = re.compile(r":([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})$")
SECRET = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "EVERGREEN_LINEAGE_API_KEY",
)
"""Keys of the Secret; each may be missing, since a cloud's own identity for pods may stand in."""
PLAIN = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ALLOW_HTTP", "AWS_EC2_METADATA_DISABLED")
"""Handed on from the worker as they are."""


def labels_of(spec: TrainingSpec) -> dict[str, str]:
    """What the pods of one training have in common, and no other pod has."""
    named = {USE_CASE: spec.use_case, RUN: spec.request, SPEC: spec.digest[:40]}
    return {key: make_safe_label_value(value) for key, value in named.items()}


def pod_spec(spec: TrainingSpec, spec_uri: str, attempt: int, where: Settings) -> Json:
    """The pod, as far as it does not come from Airflow.

    Nothing of it is a template or goes through a shell: the spec travels by its URI, one argument of a list.

    Raises:
        PolicyError: If the settings are none that a pod could work with.
    """
    named = {"labels": {**labels_of(spec), ATTEMPT: str(attempt)}, "namespace": where.kubernetes_namespace}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": named,
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "activeDeadlineSeconds": spec.resources.seconds,
            "terminationGracePeriodSeconds": GRACE,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(spec, spec_uri, where)],
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": where.training_scratch}}],
            **_placement(where),
        },
    }


def image_of(where: Settings) -> str:
    """The image, which must name one thing for ever.

    Raises:
        PolicyError: If it is missing, has no tag, or the tag moves.
    """
    image = where.training_image
    tag = TAG.search(image)
    if DIGEST.search(image) or (tag and tag[1] != "latest" and "@" not in image):
        return image
    cause = f"EVERGREEN_TRAINING_IMAGE is {image!r}" if image else "EVERGREEN_TRAINING_IMAGE is not set"
    raise PolicyError("training", f"{cause}: no model could be traced to its code", "name a digest or tag")


def _container(spec: TrainingSpec, spec_uri: str, where: Settings) -> Json:
    amount = {"cpu": str(spec.resources.cpu), "memory": spec.resources.memory}
    if spec.resources.gpu:
        amount[GPU] = str(spec.resources.gpu)
    return {
        "name": CONTAINER,
        "image": image_of(where),
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "include.training", "--spec", spec_uri],
        "env": [*_plain(spec, spec_uri, where), *_secret(where)],
        "resources": {"requests": amount, "limits": dict(amount)},
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108
        "terminationMessagePolicy": "FallbackToLogsOnError",  # the last words, even where the log stream is broken
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _plain(spec: TrainingSpec, spec_uri: str, where: Settings) -> list[Json]:
    if not spec_uri.startswith("s3://"):
        cause = f"EVERGREEN_ARTIFACTS is {where.artifacts}, which no pod can reach"
        raise PolicyError("training", cause, "set it to s3://bucket/prefix")
    endpoint = where.pod_s3_endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
    values = {
        **{name: os.environ.get(name, "") for name in PLAIN},
        "AWS_ENDPOINT_URL": endpoint,
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "EVERGREEN_HOME": "/tmp/evergreen",  # noqa: S108
        "EVERGREEN_ARTIFACTS": where.artifacts,
        "EVERGREEN_MLFLOW_URI": _without_password(where.pod_mlflow_uri or where.mlflow_uri),
        "EVERGREEN_MLFLOW_ARTIFACTS": where.mlflow_artifacts,
        "EVERGREEN_LINEAGE": _lineage(where.lineage),
        "EVERGREEN_RUN_ID": spec.request,
        "OMP_NUM_THREADS": str(spec.resources.cpu),
        "HOME": "/tmp",  # noqa: S108
        "TMPDIR": "/tmp",  # noqa: S108
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return [{"name": name, "value": _literal(value)} for name, value in values.items() if value]


def _literal(value: str) -> str:
    """Kubernetes replaces `$(NAME)` in values; doubled, the dollar stays a dollar."""
    return value.replace("$(", "$$(")


def _lineage(target: str) -> str:
    """An API is reached from a pod too; a file in it would go with it, and pretend until then."""
    if urlsplit(target).password:
        cause = "EVERGREEN_LINEAGE holds a password, which everybody who may see pods would read"
        raise PolicyError("training", cause, "put EVERGREEN_LINEAGE_API_KEY into the EVERGREEN_TRAINING_SECRET")
    return target if target.startswith("http") else "off"


def _without_password(uri: str) -> str:
    if urlsplit(uri).password:
        cause = "the MLflow URI holds a password, which everybody who may see pods would read"
        raise PolicyError("training", cause, "put MLFLOW_TRACKING_PASSWORD into the EVERGREEN_TRAINING_SECRET")
    return uri


def _secret(where: Settings) -> list[Json]:
    if not where.training_secret:
        return []
    chosen = [{"name": where.training_secret, "key": key, "optional": True} for key in SECRET]
    return [{"name": each["key"], "valueFrom": {"secretKeyRef": each}} for each in chosen]


def _placement(where: Settings) -> Json:
    spot = where.training_spot_labels
    tolerations = [*where.training_tolerations, *({"key": k, "operator": "Equal", "value": v} for k, v in spot.items())]
    placement = {
        "nodeSelector": where.training_node_selector,
        "tolerations": [dict(each) for each in tolerations],
        "priorityClassName": where.training_priority_class,
        "affinity": _preferring(spot) if spot else {},
    }
    return {name: value for name, value in placement.items() if value}


def _preferring(labels: Mapping[str, str]) -> Json:
    wanted = [{"key": key, "operator": "In", "values": [value]} for key, value in labels.items()]
    preferred = [{"weight": 100, "preference": {"matchExpressions": wanted}}]
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
