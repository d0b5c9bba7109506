"""User land: one folder per model."""

from include.use_cases.catalogue import Catalogue, Parts, catalogue, parts

__all__ = ["Catalogue", "Parts", "catalogue", "parts"]
