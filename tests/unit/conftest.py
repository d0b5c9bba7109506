"""Servers that tests may ask for by name."""

from tests.postgres import postgres as postgres
from tests.redis_server import redis_url as redis_url
