"""Objects by URI: whole reads, atomic writes, digests. A local folder or the S3 protocol (boto3)."""

import glob
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from include.contracts.errors import InfraError

if TYPE_CHECKING:
    from collections.abc import Iterable

CHUNK = 1 << 20


class ObjectStore(Protocol):
    """Whole objects by URI."""

    def read(self, uri: str) -> bytes:
        """The bytes of `uri`.

        Raises:
            FileNotFoundError: If there is no such object.
        """

    def write(self, uri: str, content: bytes) -> str:
        """Write `content` to `uri` atomically and return its SHA-256."""

    def exists(self, uri: str) -> bool:
        """Whether `uri` is an object."""

    def list(self, uri: str) -> list[str]:
        """URIs of the objects below the folder `uri`, sorted."""

    def download(self, uri: str, path: Path) -> str:
        """Copy `uri` to the local `path` and return its SHA-256."""

    def upload(self, path: Path, uri: str) -> str:
        """Copy the local `path` to `uri` atomically and return its SHA-256."""

    def delete(self, uri: str) -> None:
        """Remove `uri`; harmless where it is gone."""


def object_store(uri: str) -> ObjectStore:
    """The store that holds `uri`."""
    return S3Objects() if uri.startswith("s3://") else LocalObjects()


def sha256(chunks: "Iterable[bytes]") -> str:
    """Digest of a stream of bytes."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


class LocalObjects:
    """Objects in local folders; a write is a rename, so no reader sees half a file."""

    def read(self, uri: str) -> bytes:
        """The bytes of the file."""
        return Path(uri).read_bytes()

    def write(self, uri: str, content: bytes) -> str:
        """Write beside, flush, rename."""
        return self._write(uri, io.BytesIO(content))

    @staticmethod
    def _write(uri: str, content: BinaryIO) -> str:
        path = Path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        digest = hashlib.sha256()
        try:
            with os.fdopen(handle, "wb") as file:
                while chunk := content.read(CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return digest.hexdigest()

    def exists(self, uri: str) -> bool:
        """Whether the file is there."""
        return Path(uri).is_file()

    def list(self, uri: str) -> list[str]:
        """Files below the folder, without temporary ones."""
        return sorted(str(p) for p in Path(uri).rglob("*") if p.is_file() and not p.name.startswith("."))

    def download(self, uri: str, path: Path) -> str:
        """Copy out of the store."""
        shutil.copyfile(uri, path)
        return sha256(_chunks(path))

    def upload(self, path: Path, uri: str) -> str:
        """Copy into the store."""
        with path.open("rb") as file:
            return self._write(uri, file)

    def delete(self, uri: str) -> None:
        """Unlink, with the drafts that killed writers left of it."""
        path = Path(uri)
        path.unlink(missing_ok=True)
        for draft in path.parent.glob(f".{glob.escape(path.name)}.*"):
            draft.unlink(missing_ok=True)


@lru_cache(maxsize=4)
def _s3_client(_pid: int, _endpoint: str, _key: str) -> Any:
    """One client for each process, endpoint and key; all of it comes from the AWS_* variables."""
    import boto3  # here: 0.2 s that local stores never pay
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60)
    return boto3.session.Session().client("s3", config=config)  # the default session would keep the first keys


class S3Objects:
    """Objects in an S3 bucket; a PUT is atomic by the protocol."""

    @staticmethod
    def _parts(uri: str) -> dict[str, str]:
        parts = urlsplit(uri)
        return {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}

    @property
    def _client(self) -> Any:
        return _s3_client(os.getpid(), os.environ.get("AWS_ENDPOINT_URL", ""), os.environ.get("AWS_ACCESS_KEY_ID", ""))

    def read(self, uri: str) -> bytes:
        """GET."""
        with _s3_errors(uri, reading=True):
            return bytes(self._client.get_object(**self._parts(uri))["Body"].read())

    def write(self, uri: str, content: bytes) -> str:
        """PUT."""
        with _s3_errors(uri):
            self._client.put_object(**self._parts(uri), Body=content)
        return sha256([content])

    def exists(self, uri: str) -> bool:
        """HEAD."""
        try:
            with _s3_errors(uri, reading=True):
                self._client.head_object(**self._parts(uri))
        except FileNotFoundError:
            return False
        return True

    def list(self, uri: str) -> list[str]:
        """LIST, all pages."""
        parts = self._parts(uri.rstrip("/") + "/")
        with _s3_errors(uri):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=parts["Bucket"], Prefix=parts["Key"])
            keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return sorted(f"s3://{parts['Bucket']}/{key}" for key in keys)

    def download(self, uri: str, path: Path) -> str:
        """GET into a file, in parts."""
        parts = self._parts(uri)
        with _s3_errors(uri, reading=True):
            self._client.download_file(parts["Bucket"], parts["Key"], str(path))
        return sha256(_chunks(path))

    def upload(self, path: Path, uri: str) -> str:
        """PUT from a file, in parts."""
        parts = self._parts(uri)
        with _s3_errors(uri):
            self._client.upload_file(str(path), parts["Bucket"], parts["Key"])
        return sha256(_chunks(path))

    def delete(self, uri: str) -> None:
        """DELETE."""
        with _s3_errors(uri):
            self._client.delete_object(**self._parts(uri))


@contextmanager
def _s3_errors(uri: str, reading: bool = False) -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if reading and error.response["Error"]["Code"] in {"NoSuchKey", "404", "NoSuchBucket"}:
            raise FileNotFoundError(uri) from error
        raise _unreachable(uri, error) from error
    except (BotoCoreError, Boto3Error) as error:
        raise _unreachable(uri, error) from error


def _unreachable(uri: str, error: Exception) -> InfraError:
    return InfraError("object store", f"{uri}: {error}", "check AWS_ENDPOINT_URL, the credentials and the bucket")
