"""The landing zone as a Source sees it."""

from include.lake import object_store


class LandingZone:
    """The folder or bucket where upstream jobs drop files.

    Args:
        root: Folder or `s3://bucket/prefix`; each use case has a folder of its name in it.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    def files(self, folder: str = "") -> list[str]:
        """URIs of the files below `folder`, sorted."""
        place = f"{self.root}/{folder}".rstrip("/")
        return object_store(place).list(place)
