"""Where verdicts are kept: beside the model, in its MLflow run, and, last, in the ledger."""

from include.contracts.errors import PolicyError
from include.contracts.record import Kind, Record
from include.contracts.training import TrainingManifest
from include.contracts.verdict import GateVerdict
from include.lake import object_store
from include.ledger import Ledger
from include.models.tracking import client, mlflow_errors


def key(request: str, revision: int) -> str:
    """Key of a JUDGED record: one verdict for each request and state of the champion row."""
    return f"{request}/{revision}"


def earlier(ledger: Ledger, use_case: str, request: str, revision: int, model_digest: str) -> GateVerdict | None:
    """The verdict that was reached before on the same request and champion.

    Raises:
        PolicyError: If it is about another model.
    """
    found = ledger.get(use_case, Kind.JUDGED, key(request, revision))
    if found is None:
        return None
    verdict = GateVerdict.model_validate(found.payload)
    if verdict.model_digest != model_digest:
        raise PolicyError(
            "evaluation",
            f"request {request} was already judged with model {verdict.model_digest[:12]}, not {model_digest[:12]}",
            "send the other model under a request of its own",
        )
    return verdict


def keep(ledger: Ledger, manifest: TrainingManifest, verdict: GateVerdict) -> GateVerdict:
    """Store a verdict; the ledger last, so that what it names is there.

    Returns:
        The verdict as it stands in the ledger.
    """
    folder = f"{verdict.manifest_uri.rsplit('/', 1)[0]}/verdicts/{verdict.champion_revision}"
    store = object_store(folder)
    store.write(f"{folder}.json", verdict.model_dump_json(indent=1).encode())
    store.write(f"{folder}.txt", verdict.text().encode())
    _mirror(manifest, verdict)
    name = key(verdict.request, verdict.champion_revision)
    record = Record(
        use_case=verdict.use_case,
        kind=Kind.JUDGED,
        key=name,
        as_of=verdict.as_of,
        payload=verdict.model_dump(mode="json"),
    )
    return GateVerdict.model_validate(ledger.append(record).payload)


def _mirror(manifest: TrainingManifest, verdict: GateVerdict) -> None:
    from mlflow.entities import RunTag

    mlflow = client()
    run = manifest.mlflow_run_id
    against = str(verdict.champion_version or "floors")
    tags = {"evergreen.verdict": "accepted" if verdict.accepted else "rejected", "evergreen.judged_against": against}
    with mlflow_errors("logging the verdict"):
        mlflow.log_batch(run, tags=[RunTag(name, value) for name, value in tags.items()])
        mlflow.log_text(run, verdict.text(), f"verdict-{verdict.champion_revision}.txt")
