"""What makes two retrains the same: their data, their declaration and their cause."""

from include.contracts.decision import Rule
from include.contracts.digest import digest_of
from include.contracts.use_case import UseCase

_WITHOUT_EFFECT = {"owner", "description", "schedule", "monitoring", "retraining", "resources"}


def declaration(use_case: UseCase) -> str:
    """Digest of what the declaration says about training and judging a model."""
    return digest_of(use_case.model_dump(mode="json", exclude=_WITHOUT_EFFECT))


def request_id(use_case: str, rule: Rule, champion: int | None, version: str) -> str:
    """Run id of an automatic retrain, derived from its cause.

    Args:
        use_case: Name of the use case.
        rule: Why.
        champion: Version of the champion; None before the first.
        version: Data version.
    """
    return f"auto-{rule.value}-{digest_of([use_case, rule.value, champion or 0, version])[:12]}"
