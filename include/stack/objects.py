"""The bucket's objects as one tar stream: no more than one object in memory, or on disk where it is large."""

import shutil
import tarfile
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO

PAGE = 1000
IN_MEMORY = 64 << 20
"""Bytes of one object; more goes to a temporary file."""


def pour_out(bucket: str, target: BinaryIO) -> int:
    """Write every object of the bucket that the AWS_* variables reach to `target`.

    Returns:
        Number of objects.
    """
    s3, count = _client(), 0
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for key in _keys(s3, bucket):
            found = s3.get_object(Bucket=bucket, Key=key)
            entry = tarfile.TarInfo(key)
            entry.size, entry.mtime = found["ContentLength"], found["LastModified"].timestamp()
            tar.addfile(entry, found["Body"])
            count += 1
    return count


def pour_in(bucket: str, source: BinaryIO) -> int:
    """Make the bucket hold what `source` holds, and nothing else.

    Returns:
        Number of objects.
    """
    s3, kept = _client(), set()
    with tarfile.open(fileobj=source, mode="r|") as tar:
        for entry in tar:
            content = tar.extractfile(entry)
            if content is None:  # objects are plain files; whatever else a tar can hold is none
                continue
            _put(s3, bucket, entry, content)
            kept.add(entry.name)
    surplus = [key for key in _keys(s3, bucket) if key not in kept]
    for start in range(0, len(surplus), PAGE):
        batch = [{"Key": key} for key in surplus[start : start + PAGE]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
    return len(kept)


def _put(s3: Any, bucket: str, entry: tarfile.TarInfo, content: IO[bytes]) -> None:
    if entry.size <= IN_MEMORY:
        s3.put_object(Bucket=bucket, Key=entry.name, Body=content.read())
        return
    with TemporaryFile() as whole:  # a large one goes up in parts, for which boto3 has to seek; a stream cannot
        shutil.copyfileobj(content, whole)
        whole.seek(0)
        s3.upload_fileobj(whole, bucket, entry.name)


def _keys(s3: Any, bucket: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        yield from (found["Key"] for found in page.get("Contents", ()))


def _client() -> Any:
    import boto3

    return boto3.session.Session().client("s3")
