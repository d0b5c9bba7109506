"""Digests: the names of contents."""

import hashlib
import json
from typing import Any


def digest_of(value: Any) -> str:
    """SHA-256 (hexadecimal) of a JSON value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
