"""When to retrain: a pure function of the ledger and `as_of`. Light to import, since the triggerer does."""
