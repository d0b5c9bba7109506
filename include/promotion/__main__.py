"""Promote by verdict, roll back, overrule, and keep MLflow's aliases true to the ledger.

For people: `python -m include.promotion promote 7 --use-case flights --reason TEXT`, `... rollback ...`,
`... reconcile ...`. For jobs: `python -m include.promotion STEP --spec FILE`.
"""

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.jobs import main

if TYPE_CHECKING:
    from include.ledger import Ledger


def _ledger() -> "Ledger":
    from include.ledger import Ledger
    from include.settings import settings

    return Ledger.at(settings().ledger_url)


def promote(use_case: str, as_of: str, verdict: dict[str, Any], request: str = "") -> dict[str, Any]:  # noqa: ARG001
    """Do what a verdict of the ledger says.

    Args:
        use_case: Its name.
        as_of: Not used: the verdict has its own; taken so that every step can be called alike.
        verdict: The GateVerdict of `evaluate`.
        request: Where given, must be the verdict's.

    Returns:
        `outcome` (`promoted`, `rejected`, or `stale`: evaluate again), `reason`, `version`, `champion_version`,
        `revision`.
    """
    from include.contracts.errors import PolicyError
    from include.contracts.verdict import GateVerdict
    from include.promotion.promote import promote_verdict

    given = GateVerdict.model_validate(verdict)
    if given.use_case != use_case or request not in ("", given.request):
        raise PolicyError(
            "promotion", f"the verdict is on {given.use_case}, request {given.request}", "pass the verdict of this run"
        )
    return promote_verdict(_ledger(), given)


def rollback(
    use_case: str, as_of: str, reason: str, to_version: int | None = None, request: str = ""
) -> dict[str, Any]:
    """Put an earlier champion back.

    Args:
        use_case: Its name.
        as_of: Time of the rollback, ISO, UTC.
        reason: Why; kept in the champion row.
        to_version: A version that was champion once; None takes the row's previous one.
        request: DAG run id; the same request twice changes the row once.

    Returns:
        `outcome` (`rolled back`), `reason`, `version`, `champion_version`, `revision`.
    """
    from include.promotion.rollback import roll_back

    return roll_back(_ledger(), use_case, datetime.fromisoformat(as_of), reason, to_version, request)


def override(use_case: str, as_of: str, version: int, reason: str) -> dict[str, Any]:
    """Make a judged version champion whatever its verdict says.

    Args:
        use_case: Its name.
        as_of: Time of the decision, ISO, UTC.
        version: Version in the MLflow registry.
        reason: Why; kept in the champion row.

    Returns:
        `outcome` (`promoted`), `reason`, `version`, `champion_version`, `revision`.
    """
    from include.promotion.rollback import overrule

    return overrule(_ledger(), use_case, datetime.fromisoformat(as_of), version, reason)


def reconcile(use_case: str, as_of: str) -> dict[str, Any]:  # noqa: ARG001
    """Set MLflow's aliases to what the ledger says.

    Args:
        use_case: Its name.
        as_of: Not used; taken so that every step can be called alike.

    Returns:
        `changed`: version by alias that was changed, None where it was removed.
    """
    from include.models.tracking import client
    from include.promotion.registry import mirror

    return {"changed": mirror(client(), _ledger(), use_case)}


def _main(argv: list[str]) -> int:
    if "--spec" in argv:
        return main("promotion", argv)
    from include.promotion.command import command

    return command({"override": override, "rollback": rollback, "reconcile": reconcile}, argv)


if __name__ == "__main__":
    raise SystemExit(_main(sys.argv[1:]))
