"""Try the places of `EVERGREEN_ALERTS`: `python -m include.alerts test` says what came of a test message at each."""

import argparse
import sys

from include.alerts.message import Severity
from include.alerts.places import Place, places
from include.contracts.errors import EvergreenError, PolicyError
from include.settings import settings


def main(argv: list[str] | None = None) -> int:
    """Send a test message.

    Returns:
        0; 1 where a place did not take it, or none is named.
    """
    parser = argparse.ArgumentParser(prog="python -m include.alerts", description=__doc__)
    parser.add_argument("action", choices=["test"])
    parser.parse_args(argv)
    try:
        found = places(settings().alerts)
        if not found:
            raise PolicyError("alerts", "EVERGREEN_ALERTS is empty", "set it as docs/observability.md shows")
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 1
    return max(_tried(place) for place in found)


def _tried(place: Place) -> int:
    try:
        place.send("Evergreen: a test", "If you read this, alerts arrive here.", Severity.GOOD)
    except EvergreenError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{place.name}: sent")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
