"""Why a pod came to nothing, in our classes: only what a retry can mend is an InfraError."""

import json
from typing import Any

from evergreen.operators.pod_spec import CONTAINER
from evergreen.operators.training_process import FIELD, failure_of
from include.contracts.errors import EvergreenError, InfraError, ModelError, PolicyError
from include.contracts.training import TrainingSpec
from include.settings import Settings

Json = dict[str, Any]
AGAIN = "it is tried again by itself, in a new pod"
LINES = 5
NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
NO_SUCH_IMAGE = ("not found", "manifest unknown", "no such image", "invalid reference", "not present", "denied")
DISRUPTIONS = ("Evicted", "Preempting", "Preempted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated")
TELLING = ("Preempted", "Evicted", "TaintManagerEviction", "NodeNotReady", "NodeShutdown")
"""Reasons of events that say why a pod went."""
OWN_SCRATCH = ("usage of emptydir volume", "local ephemeral storage usage exceeds", "ephemeral local storage usage")
KILLED, OUT_OF_MEMORY = 137, "OOMKilled"


def gone(events: list[Json]) -> EvergreenError:
    """What is to be said of a pod that is no longer there.

    Args:
        events: What the API still has of its events.
    """
    told = [f"{each.get('reason')}: {each.get('message')}" for each in events if each.get("reason") in TELLING]
    cause = "the pod is gone: " + (told[-1] if told else "it was deleted, evicted or preempted, or its node was lost")
    return InfraError("training", cause, AGAIN)


def failure(pod: Json, spec: TrainingSpec, where: Settings, trouble: Exception | None) -> EvergreenError:
    """What is to be said of a pod that left no manifest.

    Args:
        pod: The pod as the API shows it.
        spec: What it was to train.
        where: The settings that it was made with.
        trouble: What the operator ran into, if anything.
    """
    status = pod.get("status") or {}
    state = _state(status)
    return (
        _out_of_memory(state, spec)
        or _disrupted(status, pod, where)
        or _late(status, spec)
        or _never_ran(status, state, spec, where)
        or _ended(state)
        or InfraError("training", f"the pod is {status.get('phase', 'in no phase')}, and: {trouble}", AGAIN)
    )


def refused(code: int, body: str) -> EvergreenError:
    """What the cluster's refusal to make a pod means.

    Args:
        code: HTTP status.
        body: The API's answer.
    """
    said = _message(body)
    if code == 403 and "exceeded quota" in said:
        return InfraError("training", f"the namespace's quota is used up: {said}", AGAIN)
    if code in {400, 401, 403, 404, 405, 409, 422}:
        return PolicyError("training", f"the cluster refuses the pod ({code}): {said}", "see docs/gpu.md")
    return InfraError("training", f"the Kubernetes API answered {code}: {said}", AGAIN)


def _state(status: Json) -> Json:
    found = [each for each in status.get("containerStatuses") or [] if each["name"] == CONTAINER]
    return (found[0].get("state") or {}) if found else {}


def _out_of_memory(state: Json, spec: TrainingSpec) -> EvergreenError | None:
    ended = state.get("terminated") or {}
    if ended.get("reason") != OUT_OF_MEMORY:
        return None
    cause = f"out of memory ({OUT_OF_MEMORY}): the limit is {spec.resources.memory}"
    return ModelError("training", cause, "raise UseCase.resources.memory, or use fewer rows")


def _disrupted(status: Json, pod: Json, where: Settings) -> EvergreenError | None:
    """Evicted, preempted, its node shut down or lost; also where it is being deleted under us."""
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    if any(words in message.lower() for words in OWN_SCRATCH):
        cause = f"it wrote more than the {where.training_scratch} of /tmp: {message}"
        return ModelError("training", cause, "raise EVERGREEN_TRAINING_SCRATCH")
    targets = [each for each in status.get("conditions") or [] if each["type"] == "DisruptionTarget"]
    for each in targets:
        if each["status"] == "True" and reason != "DeadlineExceeded":
            cause = f"the pod was disrupted ({each.get('reason')}): {each.get('message') or message}"
            return InfraError("training", cause, AGAIN)
    if reason in DISRUPTIONS or reason.startswith(("OutOf", "UnexpectedAdmission", "Node")):
        return InfraError("training", f"the pod was disrupted ({reason}): {message}", AGAIN)
    if pod["metadata"].get("deletionTimestamp"):
        return InfraError("training", "the pod was deleted while it ran", AGAIN)
    return None


def _late(status: Json, spec: TrainingSpec) -> EvergreenError | None:
    if status.get("reason") != "DeadlineExceeded":
        return None
    cause = f"the pod took longer than UseCase.resources.seconds, {spec.resources.seconds}"
    return ModelError("training", cause, "raise it, or use fewer rows")


def _never_ran(status: Json, state: Json, spec: TrainingSpec, where: Settings) -> EvergreenError | None:
    if status.get("phase") != "Pending":
        return None
    scheduled = [each for each in status.get("conditions") or [] if each["type"] == "PodScheduled"]
    if not any(each["status"] == "True" for each in scheduled):
        gpu = spec.resources.gpu
        wanted = f"no GPU: no node had {gpu} free" if gpu else "no node had room"
        said = next((each.get("message") for each in scheduled), None) or "the scheduler says nothing"
        cause = f"{wanted} within {where.training_schedule_timeout} s: {said}"
        return InfraError("training", cause, "see the nodes and their taints; " + AGAIN)
    waiting = state.get("waiting") or {}
    reason, said = str(waiting.get("reason") or "Pending"), str(waiting.get("message") or "")
    if reason in NOT_PULLED:
        cause = f"the image {where.training_image} cannot be pulled ({reason}): {said}"
        if any(words in said.lower() for words in NO_SUCH_IMAGE) or reason in NOT_PULLED[2:]:
            return PolicyError("training", cause, "correct EVERGREEN_TRAINING_IMAGE, or push the image")
        return InfraError("training", cause, "see the registry; " + AGAIN)
    if reason == "CreateContainerConfigError":
        return PolicyError("training", f"the container cannot be made: {said}", "see the Secret: docs/gpu.md")
    cause = f"the container did not run within {where.training_start_timeout} s of finding a node: {reason} {said}"
    return InfraError("training", cause, AGAIN)


def _ended(state: Json) -> EvergreenError | None:
    ended = state.get("terminated")
    if not ended:
        return None
    code, lines = int(ended["exitCode"]), str(ended.get("message") or "").rstrip().splitlines()
    if code == 0:
        return InfraError("training", "the pod ended well, but left no manifest", "nothing was evaluated; " + AGAIN)
    if ended.get("reason") == "ContainerStatusUnknown":
        return InfraError("training", "the node lost the container, such as by a restart", AGAIN)
    if code == KILLED:
        return ModelError("training", "it was killed (SIGKILL), most often for want of memory", "give it more")
    said = {match[1]: match[2] for line in lines if (match := FIELD.match(line))}
    if "SIGKILL" in said.get("cause", ""):  # in a pod of its own, only the kernel's OOM killer kills one process
        return ModelError("training", f"out of memory: {said['cause']}", "raise UseCase.resources.memory")
    return failure_of(code, said, lines[-LINES:])


def _message(body: str) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:500]
