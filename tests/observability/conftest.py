"""A fresh ledger, and a mail server that keeps what it is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from include.ledger import Ledger
from include.local.process import LOOPBACK, free_ports


class Mailbox:
    """A real SMTP server on this machine.

    Attributes:
        mails: What it took, as text.
        refuses: Whether it turns mail away.
    """

    def __init__(self, port: int) -> None:
        self.mails: list[str] = []
        self.refuses = False
        self.port = port

    @property
    def url(self) -> str:
        """The apprise URL of it."""
        return f"mailto://{LOOPBACK}:{self.port}/?from=evergreen@example.org&to=team@example.org&mode=insecure"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002 - aiosmtpd's names
        """Take one mail."""
        if self.refuses:
            return "451 come again later"
        self.mails.append(envelope.content.decode())
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox(free_ports(1)[0])
    controller = Controller(box, hostname=LOOPBACK, port=box.port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("EVERGREEN_LEDGER_URL", url)
    return Ledger.at(url)
