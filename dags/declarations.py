"""Shows broken declarations as an import error in the Airflow UI, while every sound use case keeps its DAGs.

Airflow reads only files that speak of airflow and of a DAG; this one draws none.
"""

from include.contracts.errors import PolicyError
from include.use_cases import catalogue

broken = catalogue().broken
if broken:
    raise PolicyError(
        "declaration",
        "\n\n".join(str(error) for error in broken.values()),
        f"mend it, then check again with: python -m include.use_cases check {next(iter(broken))}",
    )
