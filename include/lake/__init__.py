"""Tables with versions (Delta Lake) and objects with digests, on a local folder or S3."""

from include.lake.objects import ObjectStore, object_store
from include.lake.tables import Lake

__all__ = ["Lake", "ObjectStore", "object_store"]
