"""Where people are: apprise URLs of `EVERGREEN_ALERTS`. They carry passwords; only the scheme is ever shown."""

import logging
import re
from collections import Counter
from dataclasses import dataclass

from pydantic import SecretStr

from include.alerts.message import Severity
from include.contracts.errors import InfraError, PolicyError

_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]{0,30})://")


@dataclass(frozen=True)
class Place:
    """One place that messages go to.

    Attributes:
        name: Scheme and number among those of that scheme, such as `mailto-1`: safe to log, and part of ledger keys.
        url: The apprise URL.
    """

    name: str
    url: SecretStr

    def send(self, title: str, text: str, severity: Severity) -> None:
        """Say it there, and wait for what comes of it.

        Raises:
            PolicyError: If apprise does not know such a URL.
            InfraError: If it could not be delivered.
        """
        import apprise  # here: it costs a third of a second, and most steps have nothing to say

        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its warnings quote parts of the URL
        outlet = apprise.Apprise()
        if not outlet.add(self.url.get_secret_value()):
            raise PolicyError("alerts", f"apprise cannot read {self.name}", "write it as docs/observability.md shows")
        kind = apprise.NotifyType(severity.value)
        if not outlet.notify(body=text, title=title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT):
            raise InfraError("alerts", f"{self.name} did not take the message", "try: python -m include.alerts test")


def places(urls: SecretStr) -> list[Place]:
    """The places that a setting names, in its order.

    Args:
        urls: Apprise URLs divided by commas or spaces; a comma within a URL belongs to it.

    Raises:
        PolicyError: If something in it is no URL.
    """
    found, count = [], Counter[str]()
    for url in _BETWEEN.split(urls.get_secret_value().strip(" ,\n\t")):
        if not url:
            continue
        scheme = _SCHEME.match(url)
        if scheme is None:
            cause = "EVERGREEN_ALERTS holds something that is no URL"
            raise PolicyError("alerts", cause, "write scheme://..., as docs/observability.md shows")
        name = scheme[1].lower()
        count[name] += 1
        found.append(Place(f"{name}-{count[name]}", SecretStr(url)))
    return found
