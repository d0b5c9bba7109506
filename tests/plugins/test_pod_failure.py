"""What becomes of a pod, told in classes: only what a retry can mend is an InfraError."""

import re
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import DataError, EvergreenError, InfraError, ModelError, PolicyError
from include.contracts.training import TrainingSpec
from include.contracts.use_case import Resources
from include.settings import Settings
from tests.model_world import rows, spec

Json = dict[str, Any]
SAID = "DataError\n  component  training\n  cause      the set is empty\n  next step  build it again"


@pytest.fixture
def toy(tmp_path: Path) -> TrainingSpec:
    return spec(tmp_path, rows(200), resources=Resources(cpu=1, memory="5Gi", gpu=1))


def ended(code: int, reason: str = "Error", message: str = "", **status: Any) -> Json:
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [{"name": "base", "state": state}],
        **status,
    }


def waiting(reason: str, message: str = "") -> Json:
    state = {"waiting": {"reason": reason, "message": message}}
    scheduled = {"type": "PodScheduled", "status": "True"}
    return {"phase": "Pending", "conditions": [scheduled], "containerStatuses": [{"name": "base", "state": state}]}


def disrupted(reason: str) -> Json:
    return {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason}]}


UNSCHEDULABLE = {
    "phase": "Pending",
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        }
    ],
}
NO_IMAGE = 'failed to resolve reference "x:1": x:1: not found'
DISK = "The node was low on resource: ephemeral-storage."
OWN = 'Usage of EmptyDir volume "scratch" exceeds the limit "10Gi".'
CASES: list[tuple[str, Json, type[EvergreenError], str]] = [
    ("no gpu", UNSCHEDULABLE, InfraError, "no GPU.*3 Insufficient"),
    ("no such image", waiting("ErrImagePull", NO_IMAGE), PolicyError, "cannot be pulled.*not found"),
    ("no such image, again", waiting("ImagePullBackOff", f"Back-off: {NO_IMAGE}"), PolicyError, "cannot be pulled"),
    ("image name", waiting("InvalidImageName", "couldn't parse"), PolicyError, "cannot be pulled"),
    ("registry down", waiting("ImagePullBackOff", "502 Bad Gateway"), InfraError, "cannot be pulled"),
    ("no secret", waiting("CreateContainerConfigError", 'secret "s" not found'), PolicyError, 'secret "s" not found'),
    ("slow node", waiting("ContainerCreating"), InfraError, "did not run within"),
    ("oom", ended(137, "OOMKilled"), ModelError, "out of memory.*5Gi"),
    ("oom of a child", ended(75, "OOMKilled", "it was killed"), ModelError, "out of memory"),
    ("sigkill", ended(137), ModelError, "want of memory"),
    ("node restarted", ended(137, "ContainerStatusUnknown"), InfraError, "the node lost the container"),
    ("child killed", ended(75, message="  cause      killed (SIGKILL)"), ModelError, "out of memory"),
    ("deadline", ended(143) | {"reason": "DeadlineExceeded"}, ModelError, "seconds"),
    ("evicted", ended(137) | {"reason": "Evicted", "message": DISK}, InfraError, "Evicted.*ephemeral"),
    ("own scratch", ended(137) | {"reason": "Evicted", "message": OWN}, ModelError, "EVERGREEN_TRAINING_SCRATCH"),
    ("preempted", disrupted("PreemptionByScheduler"), InfraError, "PreemptionByScheduler"),
    ("tainted", disrupted("DeletionByTaintManager"), InfraError, "DeletionByTaintManager"),
    ("node shut down", ended(143) | {"reason": "Terminated", "message": "node shutdown"}, InfraError, "node shutdown"),
    ("gpu broke", {"phase": "Failed", "reason": "UnexpectedAdmissionError"}, InfraError, "UnexpectedAdmission"),
    ("gpu taken", {"phase": "Failed", "reason": "OutOfnvidia.com/gpu"}, InfraError, "OutOf"),
    ("data", ended(65, message=SAID), DataError, "the set is empty"),
    ("model", ended(66, message=SAID), ModelError, "the set is empty"),
    ("policy", ended(67, message=SAID), PolicyError, "the set is empty"),
    ("infra", ended(75, message=SAID), InfraError, "the set is empty"),
    ("traceback", ended(1, message="Traceback\nKeyError: 'x'"), InfraError, "KeyError: 'x'"),
    ("no manifest", ended(0, "Completed"), InfraError, "left no manifest"),
    ("out of sight", {"phase": "Running"}, InfraError, "the pod is Running, and: trouble"),
]


@pytest.mark.parametrize(("status", "kind", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_end_has_its_class(toy: TrainingSpec, status: Json, kind: type[EvergreenError], words: str) -> None:
    from evergreen.operators.pod_failure import failure

    found = failure({"metadata": {}, "status": status}, toy, Settings(), RuntimeError("trouble"))
    assert type(found) is kind, found
    assert re.search(words, str(found), re.DOTALL), found


def test_a_pod_that_is_gone_is_explained_by_its_events() -> None:
    from evergreen.operators.pod_failure import gone

    found = gone([{"reason": "Scheduled", "message": "to node1"}, {"reason": "Preempted", "message": "by x"}])
    assert "Preempted: by x" in found.cause
    assert "evicted or preempted" in gone([]).cause


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (403, '{"message": "violates PodSecurity"}', PolicyError),
        (403, '{"message": "exceeded quota: training"}', InfraError),
        (404, '{"message": "namespaces not found"}', PolicyError),
        (422, "{}", PolicyError),
        (500, "<html>", InfraError),
        (503, "", InfraError),
    ],
)
def test_a_refusal_has_its_class(code: int, body: str, kind: type[EvergreenError]) -> None:
    from evergreen.operators.pod_failure import refused

    assert type(refused(code, body)) is kind
