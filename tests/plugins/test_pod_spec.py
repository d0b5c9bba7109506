"""The pod that a spec becomes, and what is refused before any cluster is asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import PolicyError
from include.contracts.training import TrainingSpec
from include.contracts.use_case import Resources
from include.settings import Settings
from tests.fakes.pod_security import invalid, violations
from tests.model_world import rows, spec

IMAGE = "registry.example/evergreen/training:1.2.3"
URI = "s3://evergreen/toy/training/abc/spec.json"
Json = dict[str, Any]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3:8333")


@pytest.fixture
def toy(tmp_path: Path) -> TrainingSpec:
    return spec(tmp_path, rows(200), resources=Resources(cpu=3, memory="5Gi", gpu=2, seconds=99))


def where(**changes: Any) -> Settings:
    given = {"artifacts": "s3://evergreen", "mlflow_uri": "http://mlflow:5000", "training_image": IMAGE, **changes}
    return Settings(**given)


def pod(made: TrainingSpec, **changes: Any) -> Json:
    from evergreen.operators.pod_spec import pod_spec

    return pod_spec(made, URI, 2, where(**changes))


def named(found: Json) -> Json:
    """As an API server gets it."""
    return {**found, "metadata": {**found["metadata"], "name": "toy-train"}}


def test_it_keeps_the_restricted_standard_and_is_well_formed(toy: TrainingSpec) -> None:
    found = pod(toy, training_secret="s")  # noqa: S106
    assert violations(found["spec"]) == []
    assert invalid(named(found)) == []
    assert found["spec"]["automountServiceAccountToken"] is False
    assert found["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_it_asks_for_what_the_declaration_says(toy: TrainingSpec) -> None:
    found = pod(toy)["spec"]
    amount = {"cpu": "3", "memory": "5Gi", "nvidia.com/gpu": "2"}
    assert found["containers"][0]["resources"] == {"requests": amount, "limits": amount}
    assert found["activeDeadlineSeconds"] == 99
    assert found["containers"][0]["command"] == ["python", "-m", "include.training", "--spec", URI]


def test_without_a_gpu_none_is_asked_for(toy: TrainingSpec) -> None:
    plain = toy.model_copy(update={"resources": Resources()})
    assert "nvidia.com/gpu" not in json.dumps(pod(plain))


def test_no_secret_stands_in_it(toy: TrainingSpec) -> None:
    found = pod(toy, training_secret="keys")  # noqa: S106
    assert "the-secret" not in json.dumps(found)
    assert "the-key-id" not in json.dumps(found)
    env = {each["name"]: each for each in found["spec"]["containers"][0]["env"]}
    assert env["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "keys"
    assert env["AWS_ENDPOINT_URL"]["value"] == "http://s3:8333"


def test_pods_see_the_services_under_their_own_addresses(toy: TrainingSpec) -> None:
    found = pod(toy, pod_s3_endpoint="http://10.0.0.1:1", pod_mlflow_uri="http://10.0.0.1:2")
    env = {each["name"]: each.get("value") for each in found["spec"]["containers"][0]["env"]}
    assert (env["AWS_ENDPOINT_URL"], env["EVERGREEN_MLFLOW_URI"]) == ("http://10.0.0.1:1", "http://10.0.0.1:2")


@pytest.mark.parametrize(
    ("target", "told"),
    [("https://lineage.example", "https://lineage.example"), ("/shared/lineage.jsonl", "off"), ("off", "off")],
)
def test_lineage_goes_to_an_api_or_nowhere(toy: TrainingSpec, target: str, told: str) -> None:
    found = pod(toy, lineage=target, lineage_api_key="the-key", training_secret="keys")  # noqa: S106
    env = {each["name"]: each for each in found["spec"]["containers"][0]["env"]}
    assert env["EVERGREEN_LINEAGE"]["value"] == told
    assert env["EVERGREEN_LINEAGE_API_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "keys"
    assert "the-key" not in json.dumps(found)


def test_a_password_in_the_address_of_lineage_is_refused(toy: TrainingSpec) -> None:
    with pytest.raises(PolicyError, match="EVERGREEN_LINEAGE_API_KEY"):
        pod(toy, lineage="http://me:secret@lineage.example")


def test_where_it_may_run(toy: TrainingSpec) -> None:
    taint = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    found = pod(
        toy,
        training_node_selector={"gpu": "a100"},
        training_tolerations=(taint,),
        training_spot_labels={"spot": "true"},
        training_priority_class="low",
    )["spec"]
    assert found["nodeSelector"] == {"gpu": "a100"}
    assert found["priorityClassName"] == "low"
    assert found["tolerations"] == [taint, {"key": "spot", "operator": "Equal", "value": "true"}]
    (preferred,) = found["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["preference"]["matchExpressions"] == [{"key": "spot", "operator": "In", "values": ["true"]}]


@pytest.mark.parametrize(
    "run", ["manual__2026-11-23T19:00:00+00:00", "x" * 300, "$(AWS_SECRET_ACCESS_KEY); rm -rf /", "-_.:+~x"]
)
def test_any_run_id_makes_a_well_formed_pod(toy: TrainingSpec, run: str) -> None:
    found = pod(toy.model_copy(update={"request": run}))
    assert invalid(named(found)) == []
    assert {"evergreen/use-case", "evergreen/run", "evergreen/spec", "evergreen/attempt"} <= set(
        found["metadata"]["labels"]
    )
    env = {each["name"]: each.get("value", "") for each in found["spec"]["containers"][0]["env"]}
    assert env["EVERGREEN_RUN_ID"] == run.replace("$(", "$$("), "Kubernetes would put a variable in its place"


def test_two_runs_have_two_labels(toy: TrainingSpec) -> None:
    from evergreen.operators.pod_spec import RUN, labels_of

    runs = ["x" * 300, "x" * 299, "a:b", "a+b"]
    assert len({labels_of(toy.model_copy(update={"request": run}))[RUN] for run in runs}) == len(runs)


@pytest.mark.parametrize("image", ["", "training", "training:latest", "registry:5000/training", "training@sha256:abc"])
def test_an_image_that_may_move_is_refused(toy: TrainingSpec, image: str) -> None:
    with pytest.raises(PolicyError, match="EVERGREEN_TRAINING_IMAGE"):
        pod(toy, training_image=image)


@pytest.mark.parametrize("image", ["training:1", "registry:5000/a/training:v1.2", "training@sha256:" + "a" * 64])
def test_an_image_that_names_one_thing_is_taken(toy: TrainingSpec, image: str) -> None:
    assert pod(toy, training_image=image)["spec"]["containers"][0]["image"] == image


def test_a_folder_of_this_machine_is_refused(toy: TrainingSpec) -> None:
    from evergreen.operators.pod_spec import pod_spec

    with pytest.raises(PolicyError, match="no pod can reach"):
        pod_spec(toy, "/tmp/spec.json", 1, where(artifacts="/tmp"))  # noqa: S108


def test_a_password_in_a_uri_is_refused(toy: TrainingSpec) -> None:
    with pytest.raises(PolicyError, match="password") as found:
        pod(toy, mlflow_uri="http://user:hidden@mlflow:5000")
    assert "hidden" not in str(found.value)


def test_nothing_of_a_pod_is_a_template() -> None:
    from evergreen.operators.training_pod import TrainingPodOperator

    assert TrainingPodOperator.template_fields == ("training_set",)
