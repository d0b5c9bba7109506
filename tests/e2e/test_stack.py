"""The team's stack, whole: the loop on it while each container is killed once, who may do what, backup and restore."""

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from include.contracts.record import Kind
from include.demo.month import Lived, Month
from include.demo.screen import Screen
from include.ledger import Ledger
from include.stack.backup import back_up
from include.stack.restore import put_back
from include.use_cases import catalogue
from include.use_cases.flights.upstream import write_month
from tests.access.matrix import walk
from tests.e2e.patience import patiently
from tests.e2e.stack import ONCE, Stack
from tests.observability.queries import answer, queries

pytestmark = pytest.mark.stack

MONTHS = ("2013-01", "2013-02", "2013-03", "2013-04")
FIRST_TO_DIE = ("postgres", "airflow-worker", "valkey", "seaweedfs", "airflow-apiserver", "airflow-scheduler", "mlflow")
"""The loop needs these all the time; the others die while it goes on."""

LANDING = "s3://evergreen/landing"


@dataclass
class Upstream:
    """The flights' upstream job, with the account that may trigger its DAG and nothing else; somebody else looks on."""

    stack: Stack

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        """Start a run."""
        return patiently(lambda: self.stack.api("flights-upstream").trigger(dag_id, run_id, conf))

    def failed_runs(self) -> list[str]:
        """What a viewer sees red."""
        runs = patiently(lambda: self.stack.api("viewer").runs(state="failed"))
        return [f"{run['dag_id']}/{run['dag_run_id']}" for run in runs]


@pytest.fixture(scope="module")
def upstream_keys(stack: Stack) -> Iterator[None]:
    """The S3 account that may write to the landing zone and to nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.s3_environment("UPSTREAM").items():
            patch.setenv(name, value)
        yield


def live(stack: Stack, month: str) -> Lived:
    """One month arrives; returns when the loop is at rest."""
    write_month(month, LANDING)
    use_case = catalogue().use_cases["flights"]
    return Month(use_case, month, Upstream(stack), stack.ledger(), Screen(len(MONTHS) + 1), 900.0).live()


def facts(ledger: Ledger) -> set[tuple[str, str]]:
    """Every record of the flights."""
    return {(record.kind.value, record.key) for record in ledger.find("flights", *Kind)}


def test_it_comes_up_healthy_and_as_declared(stack: Stack) -> None:
    for service in stack.services:
        found = stack.inspect(service)
        if service in ONCE:
            assert found["State"]["ExitCode"] == 0, service
        else:
            assert stack.well(service), service
        host = found["HostConfig"]
        assert host["CapDrop"] == ["ALL"], service
        assert host["ReadonlyRootfs"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["Memory"] > 0, service
        assert found["Config"]["User"] not in ("", "root", "0"), service
        addresses = {at["HostIp"] for bound in host["PortBindings"].values() for at in bound}
        assert addresses <= {"127.0.0.1"}, service
    memory = stack.memory()
    stack.report.append("memory at rest, MiB: " + ", ".join(f"{k} {v:.0f}" for k, v in sorted(memory.items())))
    stack.report.append(f"memory at rest, all: {sum(memory.values()) / 1024:.2f} GiB")


def test_airflow_shows_every_dag_and_no_import_error(stack: Stack) -> None:
    wanted = {f"flights_{kind}" for kind in ("ingest", "score", "monitor", "watch", "retrain", "rollback")}
    until = time.monotonic() + 120
    while not wanted <= set(stack.admin.dags()):
        assert time.monotonic() < until, stack.admin.import_errors()
        time.sleep(1)
    assert stack.admin.import_errors() == {}


@pytest.mark.usefixtures("upstream_keys")
def test_the_loop_closes_while_each_container_dies_once(stack: Stack) -> None:
    live(stack, MONTHS[0])
    before = facts(stack.ledger())
    others = [service for service in stack.services if service not in (*ONCE, *FIRST_TO_DIE)]
    mortals = [*FIRST_TO_DIE, *others]
    troubles: list[BaseException] = []
    seconds: dict[str, float] = {}

    def kill_all() -> None:
        try:
            for service in mortals:
                stack.crash(service)
                seconds[service] = stack.recovered(service, 1)
                time.sleep(2)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            troubles.append(error)

    killer = threading.Thread(target=kill_all)
    killer.start()
    took = [live(stack, month).seconds for month in MONTHS[1:]]
    killer.join()
    if troubles:
        raise troubles[0]
    stack.report.append("killed and well again after, s: " + ", ".join(f"{k} {v:.0f}" for k, v in seconds.items()))
    stack.report.append("months 2 to 4 took meanwhile, s: " + ", ".join(f"{each:.0f}" for each in took))
    ledger = stack.ledger()
    assert before <= facts(ledger)
    asked = [record.key for record in ledger.find("flights", Kind.RETRAIN_REQUESTED)]
    ended = {record.key: record.payload["outcome"] for record in ledger.find("flights", Kind.RETRAIN_CLOSED)}
    assert asked
    assert set(ended) == set(asked)
    assert "promoted" in ended.values()
    assert ledger.champion("flights") is not None
    scored = {record.payload["batch"] for record in ledger.find("flights", Kind.BATCH_SCORED)}
    assert {*MONTHS[2:]} <= scored


def test_mlflows_aliases_and_artifacts_are_what_the_ledger_says(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.evaluation.__main__ import verify
    from include.models.tracking import client

    champion = stack.ledger().champion("flights")
    assert champion is not None
    settings = {
        **stack.s3_environment("LOOP"),
        "EVERGREEN_MLFLOW_URI": f"http://127.0.0.1:{stack.values['MLFLOW_PORT']}",
        "MLFLOW_TRACKING_USERNAME": "viewer",
        "MLFLOW_TRACKING_PASSWORD": stack.values["MLFLOW_VIEWER_PASSWORD"],
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    alias = client().get_model_version_by_alias("flights", "champion")
    assert int(alias.version) == champion.version
    assert alias.tags["evergreen.model_digest"] == champion.model_digest
    assert verify("flights", champion.since.isoformat(), champion.manifest_uri)


def test_everybody_may_do_what_the_matrix_says(stack: Stack) -> None:
    people = ("admin", "viewer", "operator", "approver")
    triggers = json.loads(stack.values["AIRFLOW_TRIGGER_PASSWORDS"])
    passwords = {name: stack.values[f"AIRFLOW_{name.upper()}_PASSWORD"] for name in people}
    passwords |= {f"{name}-upstream": password for name, password in triggers.items()}
    answers = walk(stack.airflow, passwords, stack.values["AIRFLOW_JWT_SECRET"])
    assert len(answers) > 100
    assert [found for found in answers if found[3] != found[4]] == []
    stack.report.append(f"{len(answers)} answers of the endpoint x role matrix, each as declared")


def test_a_key_opens_its_own_door_only(stack: Stack) -> None:
    import boto3
    from botocore.exceptions import ClientError

    def s3(account: str) -> Any:
        given = stack.s3_environment(account)
        return boto3.session.Session().client(
            "s3",
            endpoint_url=given["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )

    refused = [
        ("UPSTREAM", lambda c: c.put_object(Bucket="evergreen", Key="lake/x", Body=b"")),
        ("UPSTREAM", lambda c: c.get_object(Bucket="evergreen", Key=".evergreen")),
        ("TRAINER", lambda c: c.put_object(Bucket="evergreen", Key="lake/x", Body=b"")),
        ("MLFLOW", lambda c: c.put_object(Bucket="evergreen", Key="mlflow/x", Body=b"")),
        ("LOOP", lambda c: c.create_bucket(Bucket="another")),
    ]
    for account, action in refused:
        with pytest.raises(ClientError, match=r"AccessDenied|403"):
            action(s3(account))
    s3("UPSTREAM").put_object(Bucket="evergreen", Key="landing/flights/.door", Body=b"")


def test_a_backup_brings_everything_back(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.compose.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(stack.compose.folder)
    command = " ".join(stack.compose.line)
    ledger = stack.ledger()
    before, champion, runs = facts(ledger), ledger.champion("flights"), len(stack.admin.runs())
    began = time.monotonic()
    assert back_up(tmp_path / "backup", command) == 0
    saved = time.monotonic() - began
    size = sum(path.stat().st_size for path in (tmp_path / "backup").iterdir())
    stack.down()
    stack.up()
    assert stack.ledger().champion("flights") is None, "the volumes were not new"
    began = time.monotonic()
    assert put_back(tmp_path / "backup", command) == 0
    stack.report.append(
        f"backup {size / 1e6:.0f} MB in {saved:.0f} s, restore in {time.monotonic() - began:.0f} s, all healthy again"
    )
    again = stack.ledger()
    assert facts(again) == before
    assert again.champion("flights") == champion
    assert len(stack.admin.runs()) == runs
    (tmp_path / "backup" / "objects.tar").open("ab").write(b"x")
    from include.stack.compose import StackError

    with pytest.raises(StackError, match="is not what the backup wrote"):
        put_back(tmp_path / "backup", command)


@pytest.mark.usefixtures("upstream_keys")
def test_the_restored_stack_goes_on(stack: Stack) -> None:
    live(stack, "2013-05")
    assert "2013-05" in {record.payload["batch"] for record in stack.ledger().find("flights", Kind.BATCH_SCORED)}
    assert os.environ["AWS_ACCESS_KEY_ID"] == stack.values["S3_UPSTREAM_ACCESS_KEY"]


def test_every_panel_and_alert_has_data(stack: Stack) -> None:
    until, asked = time.monotonic() + 90, queries()
    while silent := [(where, query) for where, query in asked if not answer(stack.prometheus, query)]:
        assert time.monotonic() < until, silent
        time.sleep(5)
    stack.report.append(f"{len(asked)} queries of dashboards and alerts answered by Prometheus")
