"""What listens to Airflow."""
