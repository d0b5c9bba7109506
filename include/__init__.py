"""The trade: every stage of continuous training, callable without Airflow."""
