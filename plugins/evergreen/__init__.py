"""What Evergreen adds to Airflow: operators, a sensor, links, and the words that all of its DAGs share."""
