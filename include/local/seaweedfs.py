"""A real S3 server on this machine: SeaweedFS from its wheel, ready in a second, ended with us."""

import os
import secrets
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from include.contracts.errors import InfraError
from include.local.process import LOOPBACK, Process, free_ports
from include.settings import PROJECT

GRPC_OFFSET = 10_000
"""SeaweedFS puts each gRPC port this far above its HTTP port."""


class SeaweedFS:
    """An S3 server with generated keys, on 127.0.0.1 only unless told otherwise.

    Args:
        folder: Where the objects are kept; a server started again on it finds them.
        host: Address of this machine that it listens on. S3 asks for keys; SeaweedFS's own ports beside it do not, so
            an address that strangers can reach is no place for it.
    """

    def __init__(self, folder: Path, host: str = LOOPBACK) -> None:
        self.host = host
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self._keys = {"AWS_ACCESS_KEY_ID": secrets.token_hex(8), "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}
        self._process: Process | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Endpoint of the S3 protocol."""
        return f"http://{self.host}:{self.port}"

    def environment(self) -> dict[str, str]:
        """What a client of this server needs: the AWS_* variables that boto3, delta-rs, MLflow and Arrow read."""
        return {
            **self._keys,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "MLFLOW_S3_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self, deadline: float = 30.0) -> Self:
        """Start it and wait until it answers.

        Raises:
            InfraError: If it ends or does not answer within `deadline` seconds.
        """
        ports = _ports(self.host)
        self.port = ports["s3"]
        self._process = Process("seaweedfs", self._command(ports), self.folder / "weed.log", self._env(), PROJECT, 10.0)
        until = time.monotonic() + deadline
        while not self._answers():
            if self._process.code is not None or time.monotonic() > until:
                tail = self._process.tail()
                self.stop()
                raise InfraError("seaweedfs", f"the S3 server does not answer:\n{tail}", f"read {self.folder}/weed.log")
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        """Stop it; returns when nothing is left."""
        if self._process:
            self._process.stop()
            self._process = None

    def create_bucket(self, name: str) -> None:
        """Make a bucket, unless it is there."""
        names = {bucket["Name"] for bucket in self._client().list_buckets()["Buckets"]}
        if name not in names:
            self._client().create_bucket(Bucket=name)

    def _answers(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client().list_buckets()
        except (BotoCoreError, ClientError):
            return False
        return True

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self._keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5, proxies={}),
        )

    def _env(self) -> dict[str, str]:
        return {**os.environ, **self._keys, "GOMEMLIMIT": "256MiB", "GOMAXPROCS": "2"}

    def _command(self, ports: dict[str, int]) -> list[str]:
        grpc = {f"-{name}.port.grpc={port + GRPC_OFFSET}" for name, port in ports.items()}
        return [
            str(Path(sys.executable).with_name("weed")),
            "mini",
            f"-dir={self.folder}",
            f"-ip={self.host}",
            f"-ip.bind={self.host}",
            *(f"-{name}.port={port}" for name, port in ports.items()),
            *sorted(grpc),
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",  # a restart takes 3 s in place of 13 and more
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]


def _ports(host: str) -> dict[str, int]:
    """Free HTTP ports whose gRPC ports exist too (below 65,536)."""
    names = ("master", "volume", "filer", "s3", "admin")
    for _ in range(100):
        found = free_ports(len(names), host)
        if max(found) + GRPC_OFFSET < 1 << 16:
            return dict(zip(names, found, strict=True))
    raise InfraError("seaweedfs", "no free ports below 55,536", f"free some ports of {host}")
