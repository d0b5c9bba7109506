"""Serves the metrics until told to stop: `python -m include.metrics serve [--host 127.0.0.1] [--port 9464]`."""

import argparse
import logging
import signal
import sys
import threading

from sqlalchemy.exc import SQLAlchemyError

from include.contracts.errors import InfraError
from include.jobs import EXIT
from include.ledger import Ledger
from include.metrics.server import server
from include.settings import settings


def main(argv: list[str] | None = None) -> int:
    """Command line.

    Returns:
        0 after SIGTERM or SIGINT; 75 where the ledger does not answer at the start: starting again may help.
    """
    parser = argparse.ArgumentParser(prog="python -m include.metrics", description=__doc__)
    parser.add_argument("action", choices=["serve"])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; the doors ask for no password")
    parser.add_argument("--port", type=int, default=9464)
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        bound = server(given.host, given.port, Ledger.at(settings().ledger_url))
    except SQLAlchemyError as error:
        cause = f"the ledger does not answer: {type(error).__name__}"
        print(InfraError("metrics", cause, "look at EVERGREEN_LEDGER_URL and its database"), file=sys.stderr)
        return EXIT["InfraError"]
    with bound as serving:
        for number in (signal.SIGTERM, signal.SIGINT):
            # in a thread of its own: shutdown waits for the loop that this handler interrupts
            signal.signal(number, lambda *_: threading.Thread(target=serving.shutdown).start())
        host, port = serving.server_address[:2]
        print(f"serving http://{host!s}:{port}/metrics", flush=True)
        serving.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
