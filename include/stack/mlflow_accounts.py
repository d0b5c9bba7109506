"""Accounts of the team's MLflow: who trains, who promotes, who looks. A second time it changes nothing."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.models.tracking import client, experiment, mlflow_errors
from include.stack.passwords import password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.server.auth.client import AuthServiceClient

log = logging.getLogger("evergreen")

ADMIN = "admin"
ACCOUNTS = ("trainer", "promoter", "viewer")
"""The password of each, and of the admin, is in MLFLOW_<ACCOUNT>_PASSWORD."""

WORKSPACE = "default"
"""Where MLflow keeps everything that names no other."""

Grant = tuple[str, str, str]
"""Kind of resource, its id or `*`, and MLflow's level."""


def make_accounts(use_cases: Iterable[str]) -> None:
    """Make the accounts, and the experiments and registered models that they have rights on.

    Nobody but the admin can make an experiment or a registered model, so those of the use cases are made here, in the
    MLflow that `EVERGREEN_MLFLOW_URI` names. It must run with workspaces, for without them MLflow lets everybody make
    some; and with them it alone says where artifacts go, so `EVERGREEN_MLFLOW_ARTIFACTS` must be empty.

    Args:
        use_cases: Their names.

    Raises:
        PolicyError: If a password is missing or too short; names the variable.
        InfraError: If MLflow does not answer.
        ModelError: If MLflow refuses the admin.
    """
    given = {name: password(f"MLFLOW_{name.upper()}_PASSWORD") for name in (ADMIN, *ACCOUNTS)}
    names = sorted(use_cases)
    with _logged_in(ADMIN, given[ADMIN]), mlflow_errors("making accounts"):
        from mlflow.server.auth.client import AuthServiceClient

        mlflow = client()
        experiments = {name: experiment(mlflow, name) for use in names for name in (use, f"{use}-monitoring")}
        for name in names:
            _registered(mlflow, name)
        auth = AuthServiceClient(mlflow.tracking_uri)
        for account, grants in declared(names, experiments).items():
            _set_account(auth, account, given[account])
            _set_role(auth, account, grants)


def declared(use_cases: Iterable[str], experiments: dict[str, str]) -> dict[str, set[Grant]]:
    """What each account may do, and nothing else.

    Args:
        use_cases: Their names.
        experiments: Ids by name: `<use case>` for trainings, `<use case>-monitoring` for windows.

    Returns:
        Grants by account.
    """
    names = list(use_cases)
    trainings: set[Grant] = {("experiment", experiments[name], "EDIT") for name in names}
    windows: set[Grant] = {("experiment", experiments[f"{name}-monitoring"], "EDIT") for name in names}
    # to take an alias away MLflow asks for MANAGE, which could delete the model; EDIT on versions, which a deletion
    # takes along, forbids that again
    aliases: set[Grant] = {("registered_model", name, "MANAGE") for name in names}
    return {
        "trainer": trainings,
        "promoter": trainings | windows | aliases | {("registered_model_version", "*", "EDIT")},
        "viewer": {("experiment", "*", "READ"), ("registered_model", "*", "READ")},
    }


def _registered(mlflow: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        mlflow.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _set_account(auth: "AuthServiceClient", name: str, secret: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        auth.create_user(name, secret)
        log.info("MLflow account %s: made", name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        auth.update_user_password(name, secret)
        auth.update_user_admin(name, False)


def _set_role(auth: "AuthServiceClient", name: str, grants: set[Grant]) -> None:
    """Give the account the role of its name with exactly `grants`, and no other role."""
    ours = next((role for role in auth.list_roles(WORKSPACE) if role.name == name), None)
    role = ours or auth.create_role(WORKSPACE, name)
    found = {
        (kept.resource_type, kept.resource_pattern, kept.permission): kept.id
        for kept in auth.list_role_permissions(role.id)
    }
    for surplus in found.keys() - grants:
        auth.remove_role_permission(found[surplus])
    for missing in sorted(grants - found.keys()):
        auth.add_role_permission(role.id, *missing)
        log.info("MLflow account %s: %s on %s %s", name, missing[2], missing[0], missing[1])
    held = {other.id for other in auth.list_user_roles(name)}
    for other in held - {role.id}:
        auth.unassign_role(name, other)
    if role.id not in held:
        auth.assign_role(name, role.id)


@contextmanager
def _logged_in(name: str, secret: str) -> Iterator[None]:
    """Be this account for MLflow's clients, which read the environment on each call."""
    mine = {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": secret}
    before = {variable: os.environ.get(variable) for variable in mine}
    os.environ.update(mine)
    try:
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                del os.environ[variable]
            else:
                os.environ[variable] = value
