"""By a person's word: put an earlier champion back, or overrule a rejection. Recorded with the reason."""

from datetime import datetime
from typing import Any

from include.contracts.errors import PolicyError
from include.contracts.record import Kind
from include.contracts.verdict import Champion, GateVerdict
from include.ledger import Ledger
from include.models.manifest import MODEL, artifact, read_manifest
from include.models.probe import prove
from include.models.tracking import client
from include.promotion.registry import DIGEST, MANIFEST_URI, mirror, versions
from include.promotion.result import result


def roll_back(
    ledger: Ledger, use_case: str, as_of: datetime, reason: str, to_version: int | None = None, request: str = ""
) -> dict[str, Any]:
    """Put a former champion back after proving that it still loads and is unchanged.

    The row then points, as `previous`, to what the former champion had replaced: rolling back twice goes back twice,
    and never forward to the version that was just left. MLflow is only needed for the aliases, after the change.

    Args:
        ledger: Where the row is.
        use_case: Its name.
        as_of: Time of the rollback.
        reason: Why; kept in the row.
        to_version: A version that was champion once; None takes the row's `previous`.
        request: Id of the request; the same one twice changes the row once.

    Raises:
        PolicyError: If there is nothing to go back to, or the version was never champion.
        ModelError: If the version's files are not what they were.
        InfraError: If the row changed meanwhile, or MLflow is down (aliases pending; the row has changed).
    """
    history = [Champion.model_validate(r.payload) for r in ledger.find(use_case, Kind.PROMOTED)]
    marked = f"rollback {request}: {reason}" if request else f"rollback: {reason}"
    row = ledger.champion(use_case)
    if not (request and any(former.reason == marked for former in history)):
        row = _put_back(ledger, use_case, row, history, as_of, marked, to_version)
    mirror(client(), ledger, use_case)
    return result("rolled back", reason, row, row.version if row else None)


def _put_back(
    ledger: Ledger,
    use_case: str,
    row: Champion | None,
    history: list[Champion],
    as_of: datetime,
    reason: str,
    to_version: int | None,
) -> Champion:
    target = _former(use_case, row, history, to_version)
    if row is None or target.version == row.version:
        raise PolicyError("rollback", f"v{target.version} is the champion already", "name another version")
    _prove(target)
    return swap(ledger, target, row, as_of, target.previous, reason)


def _former(use_case: str, row: Champion | None, history: list[Champion], to_version: int | None) -> Champion:
    version = to_version if to_version is not None else row.previous if row else None
    known = ", ".join(f"v{v}" for v in sorted({former.version for former in history})) or "none"
    if version is None:
        raise PolicyError("rollback", f"{use_case} has no previous champion", f"champions so far: {known}")
    found = next((former for former in reversed(history) if former.version == version), None)
    if found is None:
        raise PolicyError("rollback", f"v{version} was never champion", f"name one that was: {known}")
    return found


def overrule(ledger: Ledger, use_case: str, as_of: datetime, version: int, reason: str) -> dict[str, Any]:
    """Make a judged version champion whatever its verdict says, after proving that it loads and is unchanged.

    Raises:
        PolicyError: If no reason is given, the version is not registered, or it was never judged.
        ModelError: If its files are not what they were.
        InfraError: If the row changed meanwhile, or MLflow is down.
    """
    if not reason.strip():
        raise PolicyError("promotion", "a gate is overruled with a reason only", "add --reason")
    mlflow = client()
    found = next((v for v in versions(mlflow, use_case) if int(v.version) == version), None)
    if found is None:
        raise PolicyError("promotion", f"{use_case} v{version} is not in the registry", "look at MLflow's versions")
    row = ledger.champion(use_case)
    if row is None or row.version != version:
        wanted = _judged(ledger, use_case, version, found.tags)
        _prove(wanted)
        row = swap(ledger, wanted, row, as_of, row.version if row else None, f"overruled: {reason}")
    mirror(mlflow, ledger, use_case)
    return result("promoted", reason, row, version)


def _judged(ledger: Ledger, use_case: str, version: int, tags: dict[str, str]) -> Champion:
    verdicts = [GateVerdict.model_validate(r.payload) for r in ledger.find(use_case, Kind.JUDGED)]
    verdict = next((v for v in reversed(verdicts) if v.model_digest == tags.get(DIGEST)), None)
    if verdict is None or verdict.manifest_uri != tags.get(MANIFEST_URI):
        raise PolicyError("promotion", f"{use_case} v{version} was never judged", "evaluate it first")
    return Champion(
        use_case=use_case,
        version=version,
        revision=0,
        model_uri=artifact(read_manifest(verdict.manifest_uri), MODEL).uri,
        model_digest=verdict.model_digest,
        manifest_uri=verdict.manifest_uri,
        metric=verdict.metric.estimate,
        evaluation=f"{verdict.request}/{verdict.champion_revision}",
        since=verdict.as_of,
    )


def _prove(target: Champion) -> None:
    manifest = read_manifest(target.manifest_uri)
    if artifact(manifest, MODEL).digest != target.model_digest:
        raise PolicyError(
            "promotion", f"v{target.version}: its manifest now names another model", "name another version"
        )
    prove(manifest)


def swap(
    ledger: Ledger, target: Champion, row: Champion | None, as_of: datetime, previous: int | None, reason: str
) -> Champion:
    """Change the row to `target` by compare-and-swap.

    Raises:
        PolicyError: If somebody else changed it meanwhile.
    """
    changes = {
        "revision": (row.revision if row else 0) + 1,
        "previous": previous,
        "since": as_of,
        "reason": reason,
    }
    wanted = target.model_copy(update=changes)
    if not ledger.swap_champion(wanted):
        raise PolicyError("promotion", "the champion changed meanwhile", "look at it, then decide again")
    return wanted
