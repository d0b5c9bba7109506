"""Tells people what happened: each fact once at each place, as far as the ledger can know."""
