"""Passwords of accounts, from the environment alone: none has a default, and none is ever printed."""

import json
import os
from collections.abc import Iterable

from include.contracts.errors import PolicyError

MINIMUM_LENGTH = 16
NEXT_STEP = "make secrets, then start again"


def password(variable: str) -> str:
    """The password in an environment variable.

    Args:
        variable: Its name, such as `AIRFLOW_ADMIN_PASSWORD`.

    Raises:
        PolicyError: If it is missing, empty or shorter than `MINIMUM_LENGTH` characters; names the variable.
    """
    return _checked(variable, os.environ.get(variable, ""))


def passwords(variable: str, names: Iterable[str]) -> dict[str, str]:
    """The passwords in an environment variable that holds a JSON object, one for each of `names` and no other.

    Raises:
        PolicyError: If it is no such object, or a password is missing, too short or nobody's; names the variable.
    """
    wanted = set(names)
    try:
        found = json.loads(os.environ.get(variable) or "{}")
    except ValueError:  # not chained: the error carries the text, which holds passwords
        found = None
    if not isinstance(found, dict):
        raise PolicyError("accounts", f"{variable} is no JSON object of name and password", NEXT_STEP) from None
    if strangers := sorted(set(found) - wanted):
        cause = f"{variable} names {', '.join(strangers)}; known: {', '.join(sorted(wanted)) or 'nobody'}"
        raise PolicyError("accounts", cause, f"take it out of {variable}")
    return {name: _checked(f"{variable}[{name}]", found.get(name, "")) for name in sorted(wanted)}


def _checked(where: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise PolicyError("accounts", f"{where} is not set", NEXT_STEP)
    if len(value) < MINIMUM_LENGTH:
        raise PolicyError("accounts", f"{where} is shorter than {MINIMUM_LENGTH} characters", NEXT_STEP)
    return value
