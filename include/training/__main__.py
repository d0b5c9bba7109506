"""Train what a TrainingSpec says: `python -m include.training --spec FILE_OR_S3_URI`; prints the manifest."""

import argparse
import json
import logging
import os
import sys
from typing import Any

from include.contracts.errors import EvergreenError, PolicyError
from include.contracts.training import TrainingSpec


def train(spec_uri: str, use_case: str = "", as_of: str = "") -> dict[str, Any]:  # noqa: ARG001
    """Train, or find the finished training.

    Args:
        spec_uri: Local path or `s3://` URI of a TrainingSpec.
        use_case: Where given, must be the spec's.
        as_of: Not used: the spec has its own; taken so that every step can be called alike.

    Returns:
        The TrainingManifest.
    """
    from include.training.spec import read_spec
    from include.training.trainer import run

    spec = read_spec(spec_uri)
    if use_case not in ("", spec.use_case):
        raise PolicyError("training", f"the spec is for {spec.use_case}, not {use_case}", "look at the plan task")
    return run(spec).model_dump(mode="json")


def _print_manifest(spec: TrainingSpec) -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve each other on shared cores
    from include.models.limits import without_sklearn

    without_sklearn()
    from include.training.trainer import run  # here, in the child: its threads and its memory count there

    print(json.dumps(run(spec).model_dump(mode="json")))


def _main(argv: list[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    parser = argparse.ArgumentParser(prog="python -m include.training", description=__doc__)
    parser.add_argument("--spec", required=True, help="TrainingSpec JSON: a local path or an s3:// URI")
    given = parser.parse_args(argv)
    from include.lineage.observe import observed_training
    from include.models.limits import die_with_parent
    from include.training.process import say, supervise
    from include.training.spec import read_spec

    if os.environ.get("EVERGREEN_DIE_WITH_PARENT") == "1":
        die_with_parent(os.getppid())
    try:
        spec = read_spec(given.spec)
    except EvergreenError as error:
        return say(error)
    return observed_training(spec, lambda running: supervise(spec, _print_manifest, running))


if __name__ == "__main__":
    raise SystemExit(_main())
