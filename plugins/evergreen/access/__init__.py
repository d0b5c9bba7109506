"""Who may do what in a team's Airflow: roles, accounts, and the auth manager that holds them."""
