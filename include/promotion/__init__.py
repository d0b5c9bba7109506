"""Promotion: the champion row changes by compare-and-swap in the ledger; the MLflow registry mirrors it."""
