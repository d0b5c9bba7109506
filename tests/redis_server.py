"""A Redis server of our own: nothing on disk, a free port of 127.0.0.1, a password that needs escaping."""

import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NotThere

from include.local.process import LOOPBACK, Process, free_ports

PACKAGE = "apt-get install redis-server"
AWKWARD = 'p@ss/w:%,="\\#1'
"""Part of the password: what a URL, YAML, JSON and Feast each take for something else."""
START_SECONDS = 20


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`redis://:password@host:port/0` of a server; tests are skipped where the package is absent."""
    if not (program := shutil.which("redis-server")):
        pytest.skip(f"no Redis on this machine: {PACKAGE}")
    folder, port = tmp_path_factory.mktemp("redis"), free_ports(1)[0]
    settings = folder / "redis.conf"
    password = AWKWARD + secrets.token_urlsafe(12)
    escaped = password.replace("\\", "\\\\").replace('"', '\\"')
    settings.write_text(f'bind {LOOPBACK}\nport {port}\nsave ""\nrequirepass "{escaped}"\n')
    process = Process("redis", [program, str(settings)], folder / "log", {}, Path("/"), grace=1)
    try:
        _wait(process, port, password)
        yield f"redis://:{quote(password, safe='')}@{LOOPBACK}:{port}/0"
    finally:
        process.stop()


def _wait(process: Process, port: int, password: str) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            Redis(LOOPBACK, port, password=password).ping()
        except NotThere:
            if process.code is not None or time.monotonic() > until:
                raise RuntimeError(f"Redis did not start: {process.tail()}") from None
            time.sleep(0.05)
        else:
            return
