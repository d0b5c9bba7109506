"""The bucket that everything is kept in, made where it is missing."""

import time
from typing import Any

from include.contracts.errors import InfraError

PATIENCE = 60.0
"""Seconds; SeaweedFS answers a little before it can place an object."""


def make_bucket(name: str) -> bool:
    """Make a bucket on the S3 server that the AWS_* variables name, and see that it takes an object.

    Returns:
        Whether it was made now.

    Raises:
        InfraError: If the server does not take an object within a minute.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    s3 = boto3.session.Session().client("s3")
    until = time.monotonic() + PATIENCE
    while True:
        try:
            made = _made(s3, name)
            s3.put_object(Bucket=name, Key=".evergreen", Body=b"")
        except (BotoCoreError, ClientError) as error:
            if time.monotonic() > until:
                raise InfraError("s3", f"the bucket {name}: {error}", "look at the S3 server's log") from error
            time.sleep(1)
        else:
            return made


def _made(s3: Any, name: str) -> bool:
    if name in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        return False
    s3.create_bucket(Bucket=name)
    return True
