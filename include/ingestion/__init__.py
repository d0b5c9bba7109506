"""Ingestion: what an upstream job dropped is copied, and, once validated, becomes a version of the raw tables."""
