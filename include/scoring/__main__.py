"""Scoring: predict every batch that has features and no predictions yet."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from include.jobs import main


def score(use_case: str, as_of: str) -> dict[str, Any]:
    """Predict the waiting batches with the champion; a batch once scored stays as it was predicted.

    Args:
        use_case: Name of the use case.
        as_of: Time of the scoring, ISO 8601 with zone; later batches are not seen.

    Returns:
        `scored`: a Scored for each batch; `skipped`: batch and reason.
    """
    from include.ledger import Ledger
    from include.scoring.pending import split, unscored
    from include.settings import settings

    ledger, moment = Ledger.at(settings().ledger_url), datetime.fromisoformat(as_of)
    champion = ledger.champion(use_case)
    waiting = unscored(ledger, use_case, moment)
    if not waiting:
        return {"scored": [], "skipped": []}
    if champion is None:
        return {"scored": [], "skipped": [asdict(skip) for skip in split(waiting, None)[1]]}

    from include.models.manifest import read_manifest

    manifest = read_manifest(champion.manifest_uri)
    unseen, skipped = split(waiting, manifest.training_set.ends)
    scored = _predict(use_case, ledger, moment, champion, manifest, unseen) if unseen else []
    return {"scored": scored, "skipped": [asdict(skip) for skip in skipped]}


def _predict(
    use_case: str, ledger: Any, moment: datetime, champion: Any, manifest: Any, batches: list[Any]
) -> list[dict[str, Any]]:
    import os

    from include.contracts.record import Kind, Record
    from include.features.retrieval import retrieve
    from include.lake import Lake
    from include.scoring.pending import key
    from include.scoring.predictions import load, predict_batch
    from include.settings import settings
    from include.use_cases.catalogue import declaration

    declared, lake, booster = declaration(use_case), Lake(settings().lake, use_case), load(champion, manifest)
    scored = []
    for snapshot in batches:
        found = predict_batch(declared, lake, snapshot, champion, manifest, booster, retrieve, moment)
        record = Record(
            use_case=use_case,
            kind=Kind.BATCH_SCORED,
            key=key(snapshot),
            as_of=moment,
            payload=found.model_dump(mode="json"),
            run_id=os.environ.get("EVERGREEN_RUN_ID", ""),
        )
        scored.append(ledger.append(record).payload)
    return scored


if __name__ == "__main__":
    raise SystemExit(main("scoring"))
