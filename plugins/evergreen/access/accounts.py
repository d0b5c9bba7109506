"""Brings FAB's roles and accounts to what is declared; a second time it changes nothing."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evergreen.access.roles import APPROVER, OPERATOR, UPSTREAM, VIEWER, Rights

log = logging.getLogger("evergreen")

PEOPLE = {"admin": "Admin", "viewer": VIEWER, "operator": OPERATOR, "approver": APPROVER}
"""Account and role; the password is in AIRFLOW_<ACCOUNT>_PASSWORD."""


@dataclass(frozen=True)
class Account:
    """An account as it shall be.

    Attributes:
        name: User name.
        role: Its only role.
        password: Never printed.
    """

    name: str
    role: str
    password: str = field(repr=False)


def wanted(use_cases: list[str]) -> list[Account]:
    """The accounts that the environment gives passwords for.

    Raises:
        PolicyError: If one is missing or too short; names the variable.
    """
    from include.stack.passwords import password, passwords

    people = [Account(name, role, password(f"AIRFLOW_{name.upper()}_PASSWORD")) for name, role in PEOPLE.items()]
    triggers = passwords("AIRFLOW_TRIGGER_PASSWORDS", use_cases)
    names = {name: f"{name}{UPSTREAM}" for name in triggers}
    return people + [Account(names[name], names[name], given) for name, given in triggers.items()]


def set_roles(security: Any, roles: Mapping[str, Rights]) -> None:
    """Make the roles, each with exactly its rights, and close what belongs to a use case that is gone.

    Args:
        security: FAB's security manager.
        roles: Rights by role.
    """
    for name, rights in roles.items():
        role = security.add_role(name)
        # also for a DAG that nobody has parsed yet: FAB finds these rows when it writes its own
        granted = [security.create_permission(action, resource) for action, resource in sorted(rights)]
        if set(role.permissions) != set(granted):
            role.permissions = granted
            log.info("role %s: %d rights set", name, len(granted))
    security.session.commit()
    for role in security.get_all_roles():
        if role.name.endswith(UPSTREAM) and role.name not in roles:
            _close(security, role)


def set_account(security: Any, account: Account) -> None:
    """Make the account, or give it its role and its password back; a changed password ends its sessions."""
    from werkzeug.security import check_password_hash

    role = security.find_role(account.role)
    user = security.find_user(username=account.name)
    if user is None:
        mail = f"{account.name}@evergreen.invalid"  # FAB wants one, unlike any other
        security.add_user(account.name, account.name, "", mail, role, account.password)
        log.info("account %s: made, role %s", account.name, account.role)
        return
    user.active, user.roles, user.groups = True, [role], []
    security.session.commit()
    if not check_password_hash(user.password, account.password):
        security.reset_password(user.id, account.password)
        log.info("account %s: new password, its sessions are ended", account.name)


def _close(security: Any, role: Any) -> None:
    """Switch off whoever has the role and remove it; the account stays, so that its id is never another's."""
    for user in security.get_all_users():
        if role in user.roles:
            user.active, user.roles = False, []
            log.info("account %s: closed, its use case is gone", user.username)
    security.session.commit()
    security.delete_role(role.name)
