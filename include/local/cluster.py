"""A Kubernetes cluster made ready for training: our manifests, one Secret, and a kubeconfig that may do no more."""

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from include.contracts.errors import InfraError, PolicyError
from include.local.credentials import write_private
from include.settings import PROJECT

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

MANIFESTS = PROJECT / "include" / "deploy" / "kubernetes"
NAMESPACE = "evergreen"
"""The namespace that the manifests name."""
ACCOUNT = "evergreen-airflow"
SECRET = "evergreen-training"  # noqa: S105 - its name
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TOKEN_SECONDS = 6 * 3600

Json = dict[str, Any]


class Cluster:
    """One namespace of the cluster that a kubeconfig names.

    Args:
        kubeconfig: Of somebody who may make namespaces; empty takes what KUBECONFIG names.
        namespace: Made where it is not there.
    """

    def __init__(self, kubeconfig: Path | None = None, namespace: str = NAMESPACE) -> None:
        self.namespace = namespace
        self._admin = kubeconfig or _named_by_environment()

    @property
    def core(self) -> "CoreV1Api":
        """The API as the kubeconfig's owner; never what Airflow gets."""
        from kubernetes import client

        return client.CoreV1Api(self._client())

    def prepare(self, secrets: Mapping[str, str]) -> None:
        """Apply the manifests, and put what pods need to reach S3 into the Secret.

        Args:
            secrets: Variables; of these, the keys of S3 are taken.

        Raises:
            InfraError: If the cluster does not answer, or refuses.
        """
        from kubernetes import utils

        keys = {name: secrets[name] for name in KEYS}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": self.namespace},
            "stringData": keys,
        }
        try:
            for document in (*self.manifests(), secret):
                utils.create_from_dict(self._client(), document, namespace=self.namespace, apply=True)
        except Exception as error:
            raise _refused("preparing the namespace", error) from error

    def manifests(self) -> Iterator[Json]:
        """Namespace, account, role and binding, as the files say, in this namespace."""
        for name in ("namespace.yaml", "airflow.yaml"):
            for document in yaml.safe_load_all((MANIFESTS / name).read_text()):
                yield _moved(document, self.namespace)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._entry()["cluster"]["server"])

    def write_kubeconfig(self, path: Path, server: str = "") -> Path:
        """Write a kubeconfig of Airflow's own account, readable by its owner only; it ends after some hours.

        Args:
            path: Where to.
            server: URL under which Airflow is to reach the API server, if another.

        Returns:
            `path`.
        """
        from kubernetes import client

        wanted = client.AuthenticationV1TokenRequest(
            spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=TOKEN_SECONDS)
        )
        try:
            given = self.core.create_namespaced_service_account_token(ACCOUNT, self.namespace, wanted)
        except Exception as error:
            raise _refused(f"a token for {ACCOUNT}", error) from error
        write_private(path, yaml.safe_dump(self._config(given.status.token, server)))
        return path

    def host(self) -> str:
        """A guess at an address of this machine that pods can reach: a node's own, else the one that faces a node.

        Raises:
            InfraError: If the cluster does not answer.
        """
        try:
            nodes = self.core.list_node().items
        except Exception as error:
            raise _refused("looking at the nodes", error) from error
        addresses = [a.address for node in nodes for a in node.status.addresses or () if a.type == "InternalIP"]
        ours = [_facing(address) for address in addresses]
        if not ours:
            raise InfraError("kubernetes", "no node has an address", "say --host ADDRESS that pods can reach")
        return next((address for address in addresses if address in ours), ours[0])

    def remove(self) -> None:
        """Delete the namespace with everything in it."""
        self.core.delete_namespace(self.namespace)

    def _entry(self) -> Json:
        """The cluster that the kubeconfig's current context names."""
        config: Json = yaml.safe_load(self._admin.read_text())
        current = config.get("current-context") or config["contexts"][0]["name"]
        context = next(each["context"] for each in config["contexts"] if each["name"] == current)
        found: Json = next(each for each in config["clusters"] if each["name"] == context["cluster"])
        if relative := found["cluster"].get("certificate-authority"):
            found["cluster"]["certificate-authority"] = str((self._admin.parent / relative).resolve())
        return found

    def _config(self, token: str, server: str) -> Json:
        cluster = self._entry()
        if server:
            named = urlsplit(cluster["cluster"]["server"]).hostname
            cluster["cluster"] |= {"server": server, "tls-server-name": named}
        context = {"cluster": cluster["name"], "user": ACCOUNT, "namespace": self.namespace}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [{"name": ACCOUNT, "user": {"token": token}}],
            "contexts": [{"name": ACCOUNT, "context": context}],
            "current-context": ACCOUNT,
        }

    def _client(self) -> Any:
        from kubernetes import config

        return config.new_client_from_config(str(self._admin))


def _named_by_environment() -> Path:
    named = os.environ.get("KUBECONFIG", "")
    path = Path(named or Path.home() / ".kube" / "config")
    if not path.is_file():
        cause = f"there is no kubeconfig {path}" + ("" if named else ", and KUBECONFIG is not set")
        raise PolicyError("kubernetes", cause, "set KUBECONFIG to one file")
    return path


def _moved(document: Json, namespace: str) -> Json:
    metadata = document["metadata"]
    if document["kind"] == "Namespace":
        metadata["name"] = namespace
    else:
        metadata["namespace"] = namespace
    for subject in document.get("subjects", ()):
        subject["namespace"] = namespace
    return document


def _facing(address: str) -> str:
    """Our own address on the way to `address`; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return str(probe.getsockname()[0])


def _refused(doing: str, error: Exception) -> InfraError:
    cause = f"{doing}: {str(error) or type(error).__name__}"
    return InfraError("kubernetes", cause[:2000], "look at KUBECONFIG: does its owner make namespaces and roles?")
