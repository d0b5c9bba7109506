"""Training in a pod of its own on a Kubernetes cluster."""

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import KubernetesApiException
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from evergreen.links import MlflowRunLink
from evergreen.operators.assignment import Assignment
from evergreen.operators.pod_failure import failure, gone, refused
from evergreen.operators.pod_spec import GRACE, RUN, SPEC, USE_CASE, labels_of, pod_spec
from evergreen.steps import words_kept
from include.contracts.errors import EvergreenError, InfraError, PolicyError
from include.contracts.use_case import UseCase

Json = dict[str, Any]
SILENT = (HTTPError, KubernetesApiException)
"""Nobody answered: as urllib3 says it, and as the provider says the same after its own few tries."""
UNREACHABLE = (ApiException, *SILENT)
TROUBLE = (AirflowException, ConfigException, *UNREACHABLE)
RETURNED = "return_value"
ENDED = ("Succeeded", "Failed")
SLACK = 300
"""Seconds that a task may take beyond its pod's own limits."""
PATIENCE = 180
"""Seconds for which an API server may be away before it costs a try."""
OUTAGES = 5
"""How often that may happen in one try."""


class TrainingPodOperator(KubernetesPodOperator):
    """Runs `python -m include.training --spec URI` in a pod, and believes the manifest only.

    Everything around the pod is the provider's: a task that dies is followed by one that finds the same pod; one that
    is stopped takes its pod along. A long training waits in the triggerer and holds no worker. What became of the pod
    is looked at before it is deleted, so that the error says what a retry would do.

    Args:
        use_case: The declaration.
        training_set: `TrainingSet` as JSON, mostly the output of the task before.
        arguments: Further arguments of `KubernetesPodOperator`.
    """

    template_fields = ("training_set",)  # and nothing else: no part of a pod is a template
    template_fields_renderers: dict[str, str] = {}  # noqa: RUF012
    operator_extra_links = (MlflowRunLink(),)
    ui_color = "#e8def8"

    def __init__(self, *, use_case: UseCase, training_set: Any, **arguments: Any) -> None:
        from include.settings import settings

        where, seconds = settings(), use_case.resources.seconds
        limit = where.training_schedule_timeout + where.training_start_timeout + seconds + SLACK
        ours: dict[str, Any] = {
            "name": f"{use_case.name}-train".replace("_", "-"),
            "retries": 3,  # a deferred task can be failed by a stale executor event, which costs a try
            "execution_timeout": timedelta(seconds=limit),
            "deferrable": seconds > where.training_defer_after,
            "schedule_timeout_seconds": where.training_schedule_timeout,
            "startup_timeout_seconds": where.training_start_timeout,
            "startup_check_interval_seconds": 2,
            "termination_message_policy": "FallbackToLogsOnError",
            "container_name_log_prefix_enabled": False,
        }
        super().__init__(durable=True, do_xcom_push=False, **{**ours, **arguments})
        self.use_case = use_case
        self.training_set = training_set
        self._assignment: Assignment | None = None

    def execute(self, context: Any) -> Json:
        """Train, or find the finished training.

        Returns:
            `manifest_uri`, `mlflow_run_id`, `spec_digest`, `rows`, `metrics`.
        """
        with words_kept(context):
            assignment = Assignment.of(self.use_case, self.training_set, context)
            assignment.give_out()
            self._prepare(assignment, context)
            if assignment.is_done:
                self.log.info("%s is there already", assignment.manifest_uri)
                self._sweep_quietly()
                return self._returned(context)
            return self._judged(context, lambda: KubernetesPodOperator.execute(self, context))

    def trigger_reentry(self, context: Any, event: Json) -> Json:
        """Go on where the triggerer has seen the pod end."""
        with words_kept(context):
            self._prepare(Assignment.at(event["spec_uri"]), context)
            return self._judged(context, lambda: KubernetesPodOperator.trigger_reentry(self, context, event))

    def get_or_create_pod(self, pod_request_obj: Any, context: Any) -> Any:
        """Find the pod of a try that was cut off, or make one; whatever else that try left is removed before."""
        self._sweep(pod_request_obj.metadata.namespace)
        try:
            return super().get_or_create_pod(pod_request_obj, context)
        except ApiException as error:
            raise refused(error.status or 0, str(error.body)) from error

    def cleanup(self, *_: Any, **__: Any) -> None:
        """Not here: the pod is looked at and deleted when it is judged."""

    def convert_config_file_to_dict(self) -> None:
        """For the triggerer: the file's content, unless a connection names the cluster."""
        if not self.kubernetes_conn_id:
            super().convert_config_file_to_dict()

    def _prepare(self, assignment: Assignment, context: Any) -> None:
        from include.settings import settings

        where = settings()
        self._assignment = assignment
        self.kubernetes_conn_id = where.kubernetes_conn_id or None
        self.config_file = None if where.kubernetes_conn_id else os.environ.get("KUBECONFIG")
        self.namespace = where.kubernetes_namespace
        self.labels = labels_of(assignment.spec)
        self.trigger_kwargs = {"spec_uri": assignment.spec_uri}  # the trigger puts it into its event
        attempt = context["ti"].try_number
        self.pod_template_dict = pod_spec(assignment.spec, assignment.spec_uri, attempt, where)

    @property
    def _given(self) -> Assignment:
        if self._assignment is None:
            raise PolicyError("training", "there is no spec yet", "this is a mistake in the program")
        return self._assignment

    def _judged(self, context: Any, work: Callable[[], Any]) -> Json:
        """Do the provider's work; then the manifest decides, not how that went."""
        trouble = _trouble_with(work)
        for _ in range(OUTAGES):
            if not (_is_away(trouble) and self._comes_back()):
                break
            trouble = _trouble_with(work)  # it goes on with the pod that it has
        if self._killed:
            raise InfraError("training", "the task was told to stop, and its pod was deleted", "clear this task")
        if self._given.is_done:
            if trouble:
                self.log.warning("The manifest is there; what went wrong on the way does not matter: %s", trouble)
            self._remove_quietly()
            return self._returned(context)
        found = self._failure(context, trouble)
        self.log.error("%s", found)
        raise found from trouble

    def _comes_back(self) -> bool:
        """Wait for an API server that is away, such as for its upgrade; whether it answers again."""
        until = time.monotonic() + PATIENCE
        self.log.warning("The Kubernetes API does not answer; waiting for it, %s s at most", PATIENCE)
        while not self._killed and time.monotonic() < until:
            try:
                self.client.list_namespaced_pod(self.namespace, limit=1)
            except UNREACHABLE as error:
                if not _is_away(error):
                    return True
                time.sleep(1)
            else:
                return True
        return False

    def _returned(self, context: Any) -> Json:
        from include.lineage.observe import trained_elsewhere
        from include.settings import settings

        result = self._given.result(context["run_id"])
        if not settings().lineage.startswith("http"):  # the pod was told nothing of a file that it does not share
            trained_elsewhere(self._given.spec)
        context["ti"].xcom_push(key=RETURNED, value=result)  # `do_xcom_push` is off: it would add a sidecar
        return result

    def _failure(self, context: Any, trouble: Exception | None) -> EvergreenError:
        from include.settings import settings

        if isinstance(trouble, ConfigException):
            cause = f"there is no way to a cluster: {trouble}"
            return PolicyError("training", cause, "set KUBECONFIG or EVERGREEN_KUBERNETES_CONN_ID")
        if self.pod is None and isinstance(trouble, ApiException) and trouble.status != 404:
            return refused(trouble.status or 0, str(trouble.body))
        try:
            if self.pod is None and trouble and isinstance(trouble, SILENT):
                raise trouble
            seen = self._look()
            if seen is None:
                return gone(self._events())
        except UNREACHABLE as error:
            return InfraError("training", f"the Kubernetes API does not answer: {error}", "the next try finds the pod")
        if self._may_go_on(seen, trouble, context["ti"]):
            return InfraError("training", f"the pod was lost from sight: {trouble}", "the next try finds it again")
        found = failure(seen, self._given.spec, settings(), trouble)
        self._remove_quietly()
        return found

    def _look(self) -> Json | None:
        """The pod as the API shows it; None where it is gone."""
        if self.pod is None:
            return None
        try:
            found = self.client.read_namespaced_pod(self.pod.metadata.name, self.pod.metadata.namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        seen: Json = self.client.api_client.sanitize_for_serialization(found)
        return seen

    def _events(self) -> list[Json]:
        """What is still known of a pod that is gone."""
        if self.pod is None:
            return []
        found = self.pod_manager.read_pod_events(self.pod)
        events: list[Json] = self.client.api_client.sanitize_for_serialization(found).get("items") or []
        return events

    @staticmethod
    def _may_go_on(pod: Json, trouble: Exception | None, ti: Any) -> bool:
        """Whether a later try can find this pod at work: nothing is wrong with it, we only could not see it."""
        running = pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
        return running and isinstance(trouble, UNREACHABLE) and ti.try_number <= ti.max_tries

    def _sweep_quietly(self) -> None:
        try:
            self._sweep(str(self.namespace), keep=False)
        except (*UNREACHABLE, ConfigException) as error:
            self.log.warning("Pods that earlier tries left, if any, could not be deleted: %s", error)

    def _sweep(self, namespace: str, keep: bool = True) -> None:
        """Delete what earlier tries left, but, to be followed, the newest pod that works on just this spec.

        Ended pods of earlier runs go too: their judge could not reach the API to the last.
        """
        selector = f"{USE_CASE}={self.labels[USE_CASE]}"
        found = self.client.list_namespaced_pod(namespace, label_selector=selector).items
        ours = [pod for pod in found if (pod.metadata.labels or {}).get(RUN) == self.labels[RUN]]
        usable = [pod for pod in ours if keep and self._is_usable(pod)]
        newest = max(usable, key=lambda pod: pod.metadata.creation_timestamp, default=None)
        for pod in found:
            if pod is not newest and (pod in ours or pod.status.phase in ENDED):
                self.log.info("Removing %s, left by an earlier try or run", pod.metadata.name)
                self._remove(pod)

    def _is_usable(self, pod: Any) -> bool:
        labels = pod.metadata.labels or {}
        return (
            labels.get(SPEC) == self.labels[SPEC]
            and labels.get(self.POD_CHECKED_KEY) != "True"
            and pod.metadata.deletion_timestamp is None
            and pod.status.phase in ("Pending", "Running")
        )

    def _remove_quietly(self) -> None:
        """Delete our pod; an API that is away is waited for, and the next training sweeps what is left all the same."""
        if self.pod is None:
            return
        trouble = _trouble_with(lambda: self.pod_manager.delete_pod(self.pod))
        if _is_away(trouble) and self._comes_back():
            trouble = _trouble_with(lambda: self.pod_manager.delete_pod(self.pod))
        if trouble:
            self.log.warning("The pod %s could not be deleted: %s", self.pod.metadata.name, trouble)

    def _remove(self, pod: Any) -> None:
        """Delete a pod and see it gone, so that no two train the same; where its node is silent, without asking it."""
        name, namespace = pod.metadata.name, pod.metadata.namespace
        self.patch_already_checked(pod, reraise=False)  # not to be found again
        self.pod_manager.delete_pod(pod)
        until = time.monotonic() + GRACE + 10
        while self._is_there(name, namespace):
            if time.monotonic() > until:
                self.log.warning("%s does not end; it is forgotten", name)
                self.client.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
                return
            time.sleep(0.5)

    def _is_there(self, name: str, namespace: str) -> bool:
        try:
            self.client.read_namespaced_pod(name, namespace)
        except ApiException as error:
            if error.status == 404:
                return False
            raise
        return True


def _trouble_with(work: Callable[[], Any]) -> Exception | None:
    try:
        work()
    except TROUBLE as error:
        return error
    return None


def _is_away(error: Exception | None) -> bool:
    """Whether the API server did not answer, or only that it cannot now."""
    if isinstance(error, ApiException):
        return not error.status or error.status >= 500
    return isinstance(error, SILENT)
