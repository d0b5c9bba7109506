"""What a step of promotion answers."""

from typing import Any

from include.contracts.verdict import Champion


def result(outcome: str, reason: str, champion: Champion | None, version: int | None) -> dict[str, Any]:
    """The answer as a plain dict.

    Args:
        outcome: `promoted`, `rejected`, `stale` or `rolled back`.
        reason: One sentence.
        champion: The row as it is now.
        version: The version that it is about.
    """
    return {
        "outcome": outcome,
        "reason": reason,
        "version": version,
        "champion_version": champion.version if champion else None,
        "revision": champion.revision if champion else 0,
    }
