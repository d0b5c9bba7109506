"""Three doors: `/metrics` for Prometheus, `/healthz` for whoever starts us, `/alerts` for Alertmanager."""

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from sqlalchemy.exc import SQLAlchemyError

from include.alerts.alertmanager import NAME, Notification, heard
from include.alerts.places import places
from include.alerts.tell import deliver, tell
from include.contracts.errors import DataError, PolicyError
from include.ledger import Ledger
from include.metrics.collector import LedgerCollector
from include.settings import settings

log = logging.getLogger("evergreen")

Answer = tuple[HTTPStatus, str]
Start = Callable[[str, list[tuple[str, str]]], Any]

LARGEST_BODY = 256 * 1024
"""Bytes of one call of Alertmanager; a hundred long alerts are a tenth of it."""

PATIENCE = 10
"""Seconds that a connection may stay silent."""


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection: a slow one holds up nobody."""

    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class Application:
    """The WSGI application.

    Args:
        ledger: What the metrics are read from, and where it is kept what was said.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        collector, registry = LedgerCollector(ledger), CollectorRegistry()
        collector.collect()  # the past, before a scrape would have to wait for it
        registry.register(collector)
        ProcessCollector(registry=registry)
        self._metrics = make_wsgi_app(registry)

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer one request."""
        try:
            if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("GET", "/metrics"):
                page: Iterable[bytes] = self._metrics(environ, start)
                return page
            status, text = self._answer(environ)
        except SQLAlchemyError as error:  # its words may be long, and name machines
            status, text = HTTPStatus.SERVICE_UNAVAILABLE, f"the ledger does not answer: {type(error).__name__}"
            log.warning("%s %s: %s", environ["REQUEST_METHOD"], environ["PATH_INFO"], text)
        body = f"{text}\n".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        doors: dict[str, tuple[str, Callable[[dict[str, Any]], Answer]]] = {
            "/healthz": ("GET", self._health),
            "/alerts": ("POST", self._alerts),
        }
        path = environ["PATH_INFO"]
        if path not in doors:
            return HTTPStatus.NOT_FOUND, "there are /metrics, /healthz and /alerts"
        method, answer = doors[path]
        if environ["REQUEST_METHOD"] != method:
            return HTTPStatus.METHOD_NOT_ALLOWED, f"only {method}"
        return answer(environ)

    def _health(self, _: dict[str, Any]) -> Answer:
        self._ledger.after(0, 1)
        return HTTPStatus.OK, "ok"

    def _alerts(self, environ: dict[str, Any]) -> Answer:
        """Say what Alertmanager tells; 503 lets it try again."""
        length = environ.get("CONTENT_LENGTH") or ""
        if not (length.isascii() and length.isdigit()):
            return HTTPStatus.LENGTH_REQUIRED, "send a Content-Length"
        if len(length) > len(str(LARGEST_BODY)) or int(length) > LARGEST_BODY:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST_BODY} bytes"
        try:
            told = heard(environ["wsgi.input"].read(int(length)))
            complete = self._said(told)
        except DataError as error:
            return HTTPStatus.BAD_REQUEST, error.cause
        except TimeoutError:
            return HTTPStatus.REQUEST_TIMEOUT, "the body did not come"
        except PolicyError as error:
            log.warning("alerts of Alertmanager are not said: %s", error.cause)
            return HTTPStatus.SERVICE_UNAVAILABLE, error.cause
        return (HTTPStatus.OK, "told") if complete else (HTTPStatus.SERVICE_UNAVAILABLE, "not told everywhere yet")

    def _said(self, told: Notification) -> bool:
        """Say what is new in a call, or have the loop say it; whether nothing is left to be tried again."""
        found = places(settings().alerts)
        if not found:
            log.warning("%d alerts and nobody to tell: EVERGREEN_ALERTS is empty", len(told.alerts))
        looped = [tell(self._ledger, use_case) for use_case in told.use_cases()]
        return deliver(self._ledger, NAME, found, told.messages()) and all(looped)


def server(host: str, port: int, ledger: Ledger) -> Server:
    """A bound server, not yet serving; port 0 takes a free one."""
    bound = Server((host, port), _Handler)
    bound.set_app(Application(ledger))
    return bound
