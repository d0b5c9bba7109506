"""Bring a ledger database to the newest shape."""

import logging
from pathlib import Path

logging.getLogger("alembic").setLevel(logging.WARNING)  # before the import: it announces each plugin that it sets up

from alembic import command  # noqa: E402
from alembic.config import Config  # noqa: E402
from sqlalchemy import Engine  # noqa: E402


def migrate(engine: Engine) -> None:
    """Apply the missing migrations, in one transaction; harmless where there are none."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
