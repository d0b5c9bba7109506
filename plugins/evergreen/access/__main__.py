"""`python -m evergreen.access`: roles and accounts of Airflow as declared, after `airflow db migrate`."""

import logging
import sys

from evergreen.access.accounts import set_account, set_roles, wanted
from evergreen.access.roles import declared
from include.contracts.errors import EvergreenError


def main() -> int:
    """Make them, from the passwords in the environment.

    Returns:
        0, or the exit code of the error's class.
    """
    from include.jobs import EXIT
    from include.use_cases.catalogue import names

    logging.getLogger("evergreen").setLevel(logging.INFO)
    logging.getLogger("airflow.providers.fab").setLevel(logging.WARNING)  # a line for each right, 400 the first time
    use_cases = names()  # also those whose declaration is broken today: their upstream job keeps its account
    try:
        accounts = wanted(use_cases)
    except EvergreenError as error:
        print(error, file=sys.stderr)
        return EXIT[type(error).__name__]
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        set_roles(builder.sm, declared(use_cases))
        for account in accounts:
            set_account(builder.sm, account)
    return 0


if __name__ == "__main__":
    sys.exit(main())
