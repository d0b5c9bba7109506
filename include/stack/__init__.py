"""The team's stack: secrets, accounts, backup and restore."""
