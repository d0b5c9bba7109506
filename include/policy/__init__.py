"""When to retrain: a pure function of the ledger and `as_of`. Light to import; the triggerer does."""

from include.policy.clock import clock
from include.policy.decide import decide
from include.policy.history import history

__all__ = ["clock", "decide", "history"]
