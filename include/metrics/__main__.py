"""Serves the metrics until told to stop: `python -m include.metrics serve [--host 127.0.0.1] [--port 9464]`."""

import argparse
import logging
import signal
import sys
import threading

from include.ledger import Ledger
from include.metrics.server import server
from include.settings import settings


def main(argv: list[str] | None = None) -> int:
    """Command line.

    Returns:
        0 after SIGTERM or SIGINT.
    """
    parser = argparse.ArgumentParser(prog="python -m include.metrics", description=__doc__)
    parser.add_argument("action", choices=["serve"])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; the doors ask for no password")
    parser.add_argument("--port", type=int, default=9464)
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    with server(given.host, given.port, Ledger.at(settings().ledger_url)) as serving:
        for number in (signal.SIGTERM, signal.SIGINT):
            # in a thread of its own: shutdown waits for the loop that this handler interrupts
            signal.signal(number, lambda *_: threading.Thread(target=serving.shutdown).start())
        host, port = serving.server_address[:2]
        print(f"serving http://{host!s}:{port}/metrics", flush=True)
        serving.serve_forever()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
