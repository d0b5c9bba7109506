"""Validation: no batch goes on before every expectation on it was evaluated and met; the others go to quarantine."""
