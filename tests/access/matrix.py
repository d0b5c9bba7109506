"""Who may ask Airflow for what: every endpoint that matters, every account, and what a sound server answers.

Nothing is changed by walking: what an account may do is asked for with a body or an id that Airflow refuses only after
it has let the account in (422 and 404), so the same walk holds on a stack that is in use.
"""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import requests

UPSTREAM = "upstream"
PEOPLE = frozenset({"viewer", "operator", "approver", "admin"})
EVERYBODY = PEOPLE | {UPSTREAM}
OPERATORS = frozenset({"operator", "admin"})
APPROVERS = frozenset({"approver", "admin"})
ADMIN = frozenset({"admin"})
NOBODY: frozenset[str] = frozenset()
STARTERS = OPERATORS | {UPSTREAM}

Answer = tuple[str, str, str, int, int]
"""Role, method, path, expected status, status that came."""


@dataclass(frozen=True)
class Row:
    """One endpoint.

    Attributes:
        method: Of the request.
        path: `{own}` is the account's use case, `{other}` another one, which only trigger accounts ask for.
        allowed: Who is let in; everybody else gets 403.
        status: What those who are let in get.
        body: JSON of the request.
    """

    method: str
    path: str
    allowed: frozenset[str]
    status: int = 200
    body: Any = field(default=None, hash=False)


API = "/api/v2"
INGEST = f"{API}/dags/{{own}}_ingest"
RUN = f"{INGEST}/dagRuns/nothing"
TASK = f"{RUN}/taskInstances/land"
QUESTION = f"{API}/dags/{{own}}_retrain/dagRuns/nothing/taskInstances/ask/-1/hitlDetails"
OTHER = f"{API}/dags/{{other}}_ingest"

MATRIX = (
    Row("GET", f"{API}/dags", EVERYBODY),
    Row("GET", INGEST, EVERYBODY),
    Row("GET", f"{INGEST}/details", EVERYBODY),
    Row("GET", f"{API}/dags/{{own}}_retrain", PEOPLE),
    Row("GET", OTHER, NOBODY),
    # runs: start, read, change, delete
    Row("POST", f"{INGEST}/dagRuns", STARTERS, 422, {}),
    Row("POST", f"{API}/dags/{{own}}_score/dagRuns", OPERATORS, 422, {}),
    Row("POST", f"{API}/dags/{{own}}_retrain/dagRuns", OPERATORS, 422, {}),
    Row("POST", f"{API}/dags/{{own}}_rollback/dagRuns", OPERATORS | APPROVERS, 422, {}),
    Row("POST", f"{API}/dags/~/dagRuns", OPERATORS, 422, {}),
    Row("POST", f"{API}/dags/~/dagRuns?dag_id={{own}}_retrain", OPERATORS, 422, {}),
    Row("POST", f"{API}/dags/{{own}}_retrain/dagRuns?dag_id={{own}}_ingest", OPERATORS, 422, {}),
    Row("POST", f"{OTHER}/dagRuns", NOBODY, 403, {}),
    Row("GET", f"{INGEST}/dagRuns", EVERYBODY),
    Row("GET", RUN, EVERYBODY, 404),
    Row("GET", f"{API}/dags/{{own}}_retrain/dagRuns", PEOPLE),
    Row("GET", f"{API}/dags/~/dagRuns", PEOPLE),
    Row("GET", f"{OTHER}/dagRuns", NOBODY),
    Row("PATCH", RUN, OPERATORS, 422, {"state": "perhaps"}),
    Row("DELETE", RUN, ADMIN, 404),
    Row("POST", f"{RUN}/clear", OPERATORS, 422, {"dry_run": "perhaps"}),
    Row("POST", f"{INGEST}/clearTaskInstances", OPERATORS, 422, {"dry_run": "perhaps"}),
    # the DAG itself: pause, delete, source
    Row("PATCH", INGEST, OPERATORS, 422, {}),
    Row("PATCH", f"{API}/dags?dag_id_pattern=~", OPERATORS, 422, {}),
    Row("PATCH", f"{API}/dags?dag_id_pattern=~&dag_id={{own}}_ingest", OPERATORS, 422, {}),
    Row("PATCH", OTHER, NOBODY, 403, {}),
    Row("DELETE", f"{API}/dags/{{own}}_nothing", ADMIN, 404),
    Row("GET", f"{API}/dagSources/{{own}}_ingest", PEOPLE),
    # tasks, logs, XCom
    Row("GET", f"{INGEST}/dagRuns/~/taskInstances", PEOPLE),
    Row("GET", f"{INGEST}/tasks", PEOPLE),
    Row("PATCH", TASK, OPERATORS, 422, {"new_state": "perhaps"}),
    Row("GET", f"{TASK}/logs/1", PEOPLE, 404),
    Row("GET", f"{INGEST}/dagRuns/~/taskInstances/~/xcomEntries", PEOPLE),
    Row("POST", f"{TASK}/xcomEntries", ADMIN, 422, {}),
    # approvals
    Row("GET", f"{API}/dags/~/dagRuns/~/hitlDetails", PEOPLE),
    Row("GET", QUESTION, PEOPLE, 404),
    Row("PATCH", QUESTION, APPROVERS, 422, {}),
    # assets and backfills
    Row("GET", f"{API}/assets", PEOPLE),
    Row("GET", f"{API}/assets/events", PEOPLE),
    Row("POST", f"{API}/assets/events", ADMIN, 422, {}),
    Row("POST", f"{API}/assets/0/materialize", ADMIN, 404),
    Row("GET", f"{API}/backfills?dag_id={{own}}_retrain", PEOPLE),
    Row("POST", f"{API}/backfills", OPERATORS, 422, {"dag_id": "{own}_retrain"}),
    Row("POST", f"{API}/backfills", STARTERS, 422, {"dag_id": "{own}_ingest"}),  # for Airflow, one more way to start
    Row("POST", f"{API}/backfills", NOBODY, 403, {"dag_id": "{other}_ingest"}),
    # secrets, settings, people
    Row("GET", f"{API}/connections", ADMIN),
    Row("POST", f"{API}/connections", ADMIN, 422, {}),
    Row("GET", f"{API}/variables", ADMIN),
    Row("POST", f"{API}/variables", ADMIN, 422, {}),
    Row("GET", f"{API}/config", NOBODY),  # [api] expose_config is off: not even the admin reads it over HTTP
    Row("GET", f"{API}/pools", PEOPLE),
    Row("POST", f"{API}/pools", ADMIN, 422, {}),
    Row("GET", "/auth/fab/v1/users", ADMIN),
    Row("POST", "/auth/fab/v1/users", ADMIN, 422, {}),
    Row("GET", "/auth/fab/v1/roles", ADMIN),
    Row("POST", "/auth/fab/v1/roles", ADMIN, 422, {}),
    # the rest of the pages
    Row("GET", "/ui/grid/runs/{own}_retrain", PEOPLE),
    Row("GET", "/ui/connections/hook_meta", ADMIN),
    Row("GET", f"{API}/plugins", PEOPLE),
    Row("GET", f"{API}/eventLogs", PEOPLE),
    Row("GET", f"{API}/importErrors", PEOPLE),
    Row("GET", f"{API}/jobs", PEOPLE),
    Row("GET", f"{API}/providers", PEOPLE),
)


def walk(url: str, passwords: Mapping[str, str], jwt_secret: str) -> list[Answer]:
    """Ask for everything as everybody.

    Args:
        url: Of Airflow, such as `http://127.0.0.1:8080`.
        passwords: By account: `admin`, `viewer`, `operator`, `approver` and every `<use_case>-upstream`.
        jwt_secret: What Airflow signs its tokens with; an expired token of the admin is made with it.

    Returns:
        One answer for each row and role.
    """
    tokens = {account: token(url, account, password) for account, password in passwords.items()}
    use_cases = sorted(name.removesuffix(f"-{UPSTREAM}") for name in passwords if name.endswith(f"-{UPSTREAM}"))
    found: list[Answer] = []
    with requests.Session() as session:
        session.trust_env = False
        for role, account, bearer in _callers(tokens, jwt_secret):
            own = account.removesuffix(f"-{UPSTREAM}") if role == UPSTREAM else use_cases[0]
            others = [name for name in use_cases if name != own] or ["nobody"]
            for row in MATRIX:
                found += _ask(session, url, row, role, account, bearer, own, others)
    return found


def token(url: str, account: str, password: str) -> str:
    """A bearer token, got as an upstream job gets it."""
    body = {"username": account, "password": password}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(f"{url}/auth/token", json=body, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def _callers(tokens: Mapping[str, str], jwt_secret: str) -> Iterator[tuple[str, str, str | None]]:
    """Role, account and token; first those who must get nowhere."""
    yield "anonymous", "anonymous", None
    yield "expired", "expired", _signed(tokens["admin"], jwt_secret, exp=int(time.time()) - 600)
    yield "forged", "forged: another key", _signed(tokens["admin"], "k" * 64)
    yield "forged", "forged: unsigned", jwt.encode(_claims(tokens["admin"]), "", algorithm="none")
    yield "forged", "forged: another's signature", _swapped(tokens["viewer"], tokens["admin"])
    for account, bearer in tokens.items():
        yield (UPSTREAM if account.endswith(f"-{UPSTREAM}") else account), account, bearer


def _ask(
    session: requests.Session,
    url: str,
    row: Row,
    role: str,
    account: str,
    bearer: str | None,
    own: str,
    others: list[str],
) -> Iterator[Answer]:
    if "{other}" in row.path + str(row.body) and role in PEOPLE:
        return
    expected = {"anonymous": 401, "expired": 401, "forged": 403}.get(role, row.status if role in row.allowed else 403)
    for other in others if "{other}" in row.path + str(row.body) else others[:1]:
        path, body = (_filled(part, own, other) for part in (row.path, row.body))
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        answer = session.request(row.method, f"{url}{path}", json=body, headers=headers, timeout=60)
        yield account, row.method, path, expected, answer.status_code


def _filled(part: Any, own: str, other: str) -> Any:
    if isinstance(part, dict):
        return {key: _filled(value, own, other) for key, value in part.items()}
    return part.replace("{own}", own).replace("{other}", other) if isinstance(part, str) else part


def _claims(bearer: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(bearer, options={"verify_signature": False})
    return found


def _signed(bearer: str, secret: str, **changes: Any) -> str:
    """The token's claims, changed, under a signature made with `secret`."""
    header = jwt.get_unverified_header(bearer)
    return jwt.encode({**_claims(bearer), **changes}, secret, algorithm=header["alg"], headers=header)


def _swapped(bearer: str, stronger: str) -> str:
    """The claims of a stronger account under the signature of a weaker one."""
    head, _, signature = bearer.split(".")
    claims = base64.urlsafe_b64encode(json.dumps(_claims(stronger)).encode()).rstrip(b"=").decode()
    return f"{head}.{claims}.{signature}"
