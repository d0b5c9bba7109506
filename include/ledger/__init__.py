"""The append-only record of every decision, and the champion row."""

from include.ledger.ledger import Ledger

__all__ = ["Ledger"]
