"""Verify that a training is complete and sound, and judge its model against the champion."""

import logging
from datetime import datetime
from typing import Any

from include.jobs import main

log = logging.getLogger("evergreen")


def verify(use_case: str, as_of: str, manifest_uri: str) -> dict[str, Any]:
    """Prove the training behind a manifest, and record it as trained.

    Args:
        use_case: Its name.
        as_of: Time of the request, ISO, UTC.
        manifest_uri: What the training wrote last.

    Returns:
        `manifest_uri`, `model_digest`, `request`, `rows`, and what the clean process saw as `proof`.
    """
    from include.contracts.record import Kind, Record
    from include.evaluation.proof import verify_training
    from include.ledger import Ledger
    from include.models.manifest import MODEL
    from include.settings import settings

    manifest, seen = verify_training(use_case, manifest_uri)
    payload = {"manifest_uri": manifest_uri, "request": manifest.request}
    Ledger.at(settings().ledger_url).append(
        Record(
            use_case=use_case,
            kind=Kind.TRAINED,
            key=manifest.spec_digest,
            as_of=datetime.fromisoformat(as_of),
            payload=payload,
        )
    )
    return {**payload, "model_digest": manifest.artifacts[MODEL].digest, "rows": manifest.rows, "proof": seen}


def evaluate(use_case: str, as_of: str, manifest_uri: str, request: str = "") -> dict[str, Any]:
    """Judge a challenger against the champion of now, or find the verdict that was reached before.

    Args:
        use_case: Its name.
        as_of: Time of the verdict, ISO, UTC.
        manifest_uri: The challenger.
        request: Where given, must be the request that the model was trained for.

    Returns:
        The GateVerdict.
    """
    from include.evaluation.stage import evaluate_manifest
    from include.ledger import Ledger
    from include.settings import settings
    from include.use_cases.catalogue import declaration

    declared = declaration(use_case)
    ledger = Ledger.at(settings().ledger_url)
    verdict = evaluate_manifest(
        ledger, use_case, declared.gate, declared.task, manifest_uri, datetime.fromisoformat(as_of), request
    )
    log.info("%s", verdict.text())
    return verdict.model_dump(mode="json")


if __name__ == "__main__":
    raise SystemExit(main("evaluation"))
