"""From an accepted verdict to a new champion: check, register, swap, mirror. Running it again is harmless."""

import tempfile
from pathlib import Path
from typing import Any

from include.contracts.errors import ModelError, PolicyError
from include.contracts.record import Kind
from include.contracts.training import TrainingManifest
from include.contracts.verdict import Champion, GateVerdict
from include.ledger import Ledger
from include.models.manifest import MODEL, artifact, check_digests, read_manifest
from include.models.tracking import client
from include.promotion.registry import mirror, register
from include.promotion.result import result


def promote_verdict(ledger: Ledger, verdict: GateVerdict, run_id: str = "") -> dict[str, Any]:
    """Do what the verdict says.

    The order makes a crash harmless: a registered version that is no champion, or a champion whose aliases are not
    set yet, is completed by the next call.

    Returns:
        Outcome `promoted`, `rejected`, or `stale` where the champion changed since the verdict: evaluate again.

    Raises:
        PolicyError: If the ledger does not know the verdict.
        ModelError: If an artifact is not what the verdict was about.
        InfraError: If MLflow cannot be reached; the champion is unchanged then.
    """
    _known(ledger, verdict)
    manifest = _sound(verdict)
    mlflow = client()
    mirror(mlflow, ledger, verdict.use_case)
    version = register(mlflow, manifest, verdict.manifest_uri, "accepted" if verdict.accepted else "rejected")
    answer = _reject(ledger, verdict, version) if not verdict.accepted else _swap(ledger, verdict, version, run_id)
    mirror(mlflow, ledger, verdict.use_case)
    return answer


def evaluation_key(verdict: GateVerdict) -> str:
    """Key of the verdict's JUDGED record."""
    return f"{verdict.request}/{verdict.champion_revision}"


def _known(ledger: Ledger, verdict: GateVerdict) -> None:
    found = ledger.get(verdict.use_case, Kind.JUDGED, evaluation_key(verdict))
    if found is None or GateVerdict.model_validate(found.payload) != verdict:
        raise PolicyError(
            "promotion",
            f"the ledger has no such verdict on request {verdict.request} at revision {verdict.champion_revision}",
            "evaluate first; a verdict that is not in the ledger promotes nothing",
        )


def _sound(verdict: GateVerdict) -> TrainingManifest:
    manifest = read_manifest(verdict.manifest_uri)
    if artifact(manifest, MODEL).digest != verdict.model_digest:
        raise ModelError("promotion", "the manifest names another model than the verdict", "evaluate again")
    with tempfile.TemporaryDirectory() as folder:
        check_digests(manifest, Path(folder))
    return manifest


def _reject(ledger: Ledger, verdict: GateVerdict, version: int) -> dict[str, Any]:
    failed = ", ".join(check.name for check in verdict.checks if not check.passed)
    row = ledger.champion(verdict.use_case)
    stays = f"champion stays v{row.version}" if row else "there is still no champion"
    return result("rejected", f"v{version} failed {failed}; {stays}", row, version)


def _swap(ledger: Ledger, verdict: GateVerdict, version: int, run_id: str) -> dict[str, Any]:
    row = ledger.champion(verdict.use_case)
    wanted = Champion(
        use_case=verdict.use_case,
        version=version,
        revision=verdict.champion_revision + 1,
        model_uri=_model_uri(verdict),
        model_digest=verdict.model_digest,
        manifest_uri=verdict.manifest_uri,
        metric=verdict.metric.estimate,
        evaluation=evaluation_key(verdict),
        previous=verdict.champion_version,
        since=verdict.as_of,
    )
    now = row.revision if row else 0
    won = now == verdict.champion_revision and ledger.swap_champion(wanted, run_id)
    if won or _was_promoted(ledger, wanted):
        gain = f"{verdict.gain.estimate:+.4f}" if verdict.gain else f"{verdict.metric.estimate:.4f} above the floor"
        return result(
            "promoted", f"v{version}: {verdict.metric_name} {gain}", ledger.champion(verdict.use_case), version
        )
    row = ledger.champion(verdict.use_case)
    now = row.revision if row else 0
    said = f"the champion changed since the verdict (revision {verdict.champion_revision}, now {now}); evaluate again"
    return result("stale", said, row, version)


def _model_uri(verdict: GateVerdict) -> str:
    return artifact(read_manifest(verdict.manifest_uri), MODEL).uri


def _was_promoted(ledger: Ledger, wanted: Champion) -> bool:
    """Whether an earlier call with the same verdict won the swap: a crash came after it."""
    found = ledger.get(wanted.use_case, Kind.PROMOTED, str(wanted.revision))
    return found is not None and Champion.model_validate(found.payload) == wanted
