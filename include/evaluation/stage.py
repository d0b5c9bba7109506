"""One evaluation from manifest to kept verdict."""

from datetime import datetime

from include.contracts.errors import PolicyError
from include.contracts.use_case import Gate, Task
from include.contracts.verdict import Champion, GateVerdict
from include.evaluation import journal
from include.evaluation.gate import judge
from include.evaluation.proof import verify_training
from include.ledger import Ledger
from include.models.manifest import MODEL, artifact, read_manifest


def evaluate_manifest(
    ledger: Ledger, use_case: str, gate: Gate, task: Task, manifest_uri: str, as_of: datetime, request: str = ""
) -> GateVerdict:
    """Verify, judge and keep the verdict; a verdict on the same request, champion and model is found again.

    Raises:
        PolicyError: If the request is not the manifest's, or was judged with another model.
        ModelError: If the training is not complete and sound.
        DataError: If the rows cannot carry a verdict.
        InfraError: If MLflow or the object store cannot be reached.
    """
    manifest = read_manifest(manifest_uri)
    if request not in ("", manifest.request):
        raise PolicyError(
            "evaluation", f"{manifest_uri} answers {manifest.request}, not {request}", "name its manifest"
        )
    champion = ledger.champion(use_case)
    digest = artifact(manifest, MODEL).digest
    if found := journal.earlier(ledger, use_case, manifest.request, _judged_at(champion, manifest_uri), digest):
        return found
    manifest, seen = verify_training(use_case, manifest_uri)
    verdict = judge(gate, task, manifest_uri, champion, as_of, seen["rows"])
    return journal.keep(ledger, manifest, verdict)


def _judged_at(champion: Champion | None, manifest_uri: str) -> int:
    """Revision that the model is judged against: the one before, where the model is the champion already."""
    if champion is None:
        return 0
    return champion.revision - (champion.manifest_uri == manifest_uri and not champion.reason)
