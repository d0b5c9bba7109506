"""The ledger as Prometheus metrics: computed from what is written at each scrape, so that a restart loses nothing."""
