"""Where the trees are grown: the CPU, or a GPU that is really there."""

import ctypes
import logging

from include.contracts.errors import InfraError
from include.contracts.training import TrainingSpec

log = logging.getLogger("evergreen")


def gpus() -> int:
    """Count of the GPUs that this process can see."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def choose(spec: TrainingSpec) -> str:
    """The device to train on: `cpu` or `cuda`.

    Raises:
        InfraError: If the spec requires GPUs and fewer are visible.
    """
    if spec.device == "cpu" and not spec.require_gpu:
        return "cpu"
    found, wanted = gpus(), max(1, spec.resources.gpu)
    if found >= wanted:
        return "cuda"
    said = f"{found or 'no'} GPU is visible" if found < 2 else f"{found} GPUs are visible"
    if spec.require_gpu:
        step = "look at the driver, and at the pod's GPU limit"
        raise InfraError("training", f"{said}, and the spec requires {wanted}", step)
    log.warning("training: %s of %d; training on the CPU, as require_gpu is false", said, wanted)
    return "cpu"
