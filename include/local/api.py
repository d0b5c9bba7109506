"""A client of Airflow's REST API: what an upstream job needs, and what a person watching it needs."""

from collections.abc import Mapping
from typing import Any

import requests

from include.contracts.errors import InfraError, PolicyError

Json = dict[str, Any]


class Api:
    """The REST API v2 of one Airflow.

    Args:
        url: Such as `http://127.0.0.1:8080`.
        user: User name.
        password: Its password.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy for the world is none for this machine

    def call(self, method: str, path: str, json: Json | None = None, **query: Any) -> requests.Response:
        """Send one request; a missing or expired token is fetched first.

        Raises:
            InfraError: If nobody answers.
        """
        url = f"{self.url}/api/v2{path}"
        try:
            if "Authorization" not in self._session.headers:
                self._authorize()
            answer = self._session.request(method, url, json=json, params=query, timeout=60)
            if answer.status_code == requests.codes.unauthorized:
                self._authorize()
                answer = self._session.request(method, url, json=json, params=query, timeout=60)
        except requests.RequestException as error:
            raise InfraError("airflow api", f"{method} {url}: {error}", "see that Airflow is up: make up") from error
        return answer

    def get(self, path: str, **query: Any) -> Json:
        """GET, and the answer's JSON.

        Raises:
            PolicyError: If Airflow refuses.
        """
        return _accepted(self.call("GET", path, **query))

    def trigger(self, dag: str, run_id: str, conf: Mapping[str, Any] | None = None) -> bool:
        """Ask for a run of `dag`.

        Returns:
            Whether this request started it; False where the same run id was accepted before (409).

        Raises:
            PolicyError: If Airflow refuses the request, such as a parameter that does not match its pattern.
        """
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}
        answer = self.call("POST", f"/dags/{dag}/dagRuns", body)
        if answer.status_code == requests.codes.conflict:
            return False
        _accepted(answer)
        return True

    def run(self, dag: str, run_id: str) -> Json:
        """One run of `dag`: `state`, `start_date`, `end_date`, `conf`, ..."""
        return self.get(f"/dags/{dag}/dagRuns/{run_id}")

    def runs(self, dag: str = "~", **query: Any) -> list[Json]:
        """Runs of `dag` (of all DAGs by default), newest first."""
        found: list[Json] = self.get(f"/dags/{dag}/dagRuns", order_by="-run_after", limit=100, **query)["dag_runs"]
        return found

    def tasks(self, dag: str, run_id: str) -> list[Json]:
        """Task instances of a run: `task_id`, `state`, `try_number`, `duration`, ..."""
        found: list[Json] = self.get(f"/dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return found

    def result(self, dag: str, run_id: str, task: str) -> Any:
        """What a task returned."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value"
        return self.get(path, deserialize=True)["value"]

    def log(self, dag: str, run_id: str, task: str, attempt: int = 1) -> str:
        """A task's log as text."""
        path = f"/dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/logs/{attempt}"
        lines = self.get(path, full_content=True)["content"]
        return "\n".join(line if isinstance(line, str) else str(line.get("event", "")) for line in lines)

    def dags(self) -> list[str]:
        """Ids of the DAGs that Airflow knows."""
        return sorted(dag["dag_id"] for dag in self.get("/dags", limit=1000)["dags"])

    def import_errors(self) -> dict[str, str]:
        """Why a DAG file did not load, by file name."""
        found = self.get("/importErrors", limit=100)["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in found}

    def _authorize(self) -> None:
        answer = self._session.post(f"{self.url}/auth/token", json=self._login, timeout=60)
        self._session.headers["Authorization"] = f"Bearer {_accepted(answer)['access_token']}"


def _accepted(answer: requests.Response) -> Json:
    if answer.ok:
        found: Json = answer.json()
        return found
    where = f"{answer.request.method} {answer.request.path_url}: {answer.status_code}"
    raise PolicyError("airflow api", f"{where} {answer.text[:500]}", "mend the request; nothing was started")
