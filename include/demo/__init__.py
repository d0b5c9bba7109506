"""The demo: lives through flights of 2013. It plays the upstream job and watches; Airflow does the rest."""
