"""The namespace as our manifests make it, on a real cluster."""

import pytest

from tests.kubernetes.ground import Servers

pytestmark = pytest.mark.kubernetes


def test_the_namespace_enforces_the_restricted_standard(pods: Servers) -> None:
    from kubernetes.client.exceptions import ApiException

    pod = {"metadata": {"name": "bad"}, "spec": {"containers": [{"name": "bad", "image": "x:1"}]}}  # it may run as root
    with pytest.raises(ApiException, match="violates PodSecurity"):
        pods.cluster.core.create_namespaced_pod(pods.cluster.namespace, pod)


def test_airflows_account_may_do_no_more_than_it_must(pods: Servers) -> None:
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException

    core = client.CoreV1Api(config.new_client_from_config(pods.env["KUBECONFIG"]))
    core.list_namespaced_pod(pods.cluster.namespace)
    for refused in (
        lambda: core.list_namespaced_secret(pods.cluster.namespace),
        lambda: core.list_namespaced_pod("kube-system"),
        lambda: core.list_node(),
        lambda: core.create_namespaced_service_account(pods.cluster.namespace, {"metadata": {"name": "more"}}),
        lambda: core.connect_post_namespaced_pod_exec("any", pods.cluster.namespace, command="id"),
    ):
        with pytest.raises(ApiException) as found:
            refused()
        assert found.value.status == 403
