"""Training: from a TrainingSpec to artifacts and, written last, a TrainingManifest. Needs no Airflow and no ledger."""
