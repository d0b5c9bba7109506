"""The restricted Pod Security Standard, as far as a pod can break it, and what the API server checks of any pod.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

import re
from typing import Any

Json = dict[str, Any]
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
LABEL = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")


def violations(spec: Json) -> list[str]:
    """What the restricted standard says against a pod's spec; nothing where it is kept."""
    found = [f"{key} != false" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    for volume in spec.get("volumes") or []:
        kinds = set(volume) - {"name"}
        found += [f'restricted volume types (volume "{volume["name"]}" uses "{kind}")' for kind in kinds - VOLUMES]
    pod = spec.get("securityContext") or {}
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        found += _of_container(container, pod)
    if pod.get("sysctls"):
        found.append("forbidden sysctls")
    return found


def _of_container(container: Json, pod: Json) -> list[str]:
    own = container.get("securityContext") or {}
    name = f'(container "{container["name"]}")'
    capabilities = own.get("capabilities") or {}
    seccomp = own.get("seccompProfile") or pod.get("seccompProfile") or {}
    rules = {
        "privileged": own.get("privileged"),
        "allowPrivilegeEscalation != false": own.get("allowPrivilegeEscalation") is not False,
        "unrestricted capabilities": "ALL" not in (capabilities.get("drop") or [])
        or set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"},
        "runAsNonRoot != true": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True,
        "runAsUser=0": own.get("runAsUser", pod.get("runAsUser")) == 0,
        "seccompProfile": seccomp.get("type") not in ("RuntimeDefault", "Localhost"),
        "procMount": own.get("procMount", "Default") != "Default",
        "hostPort": any(port.get("hostPort") for port in container.get("ports") or []),
    }
    return [f"{rule} {name}" for rule, broken in rules.items() if broken]


def invalid(pod: Json) -> list[str]:
    """What any API server says against a pod; nothing where it is well-formed."""
    metadata, found = pod["metadata"], []
    if len(metadata["name"]) > 253 or not NAME.match(metadata["name"]):
        found.append(f"metadata.name: Invalid value: {metadata['name']!r}")
    for key, value in (metadata.get("labels") or {}).items():
        if len(value) > 63 or not LABEL.match(value):
            found.append(f"metadata.labels: Invalid value: {value!r} of {key}")
    mounts = {volume["name"] for volume in pod["spec"].get("volumes") or []}
    for container in pod["spec"]["containers"]:
        found += _of_resources(container.get("resources") or {})
        for mount in container.get("volumeMounts") or []:
            if mount["name"] not in mounts:
                found.append(f"volumeMounts.name: Not found: {mount['name']!r}")
    return found


def _of_resources(resources: Json) -> list[str]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    over = [name for name, value in requests.items() if name in limits and quantity(value) > quantity(limits[name])]
    uneven = [name for name in limits if "/" in name and requests.get(name, limits[name]) != limits[name]]
    return [f"requests.{name}: must be less than or equal to its limit" for name in over] + [
        f"limits.{name}: must be equal to its request" for name in uneven
    ]


def quantity(text: str) -> float:
    """A number as Kubernetes writes it."""
    units = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}
    for unit, factor in sorted(units.items(), key=lambda item: -len(item[0])):
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    return float(text)
