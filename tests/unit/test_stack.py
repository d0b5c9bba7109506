"""Secrets, health checks and what a backup must be before it is put back."""

import io
import json
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from include.local.seaweedfs import SeaweedFS
from include.settings import PROJECT
from include.stack.backup import INDEX, back_up
from include.stack.bucket import make_bucket
from include.stack.compose import Stack, StackError, digest
from include.stack.health import ill
from include.stack.objects import pour_in, pour_out
from include.stack.restore import check
from include.stack.secrets import TRIGGERS, VALUES, read, write_secrets


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    made = write_secrets(path, ["flights"])
    assert set(made) == {name for group in VALUES.values() for name in group} | {TRIGGERS}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = read(path.read_text())
    assert write_secrets(path, ["flights"]) == []
    assert read(path.read_text()) == first
    assert len(set(first.values())) == len(first), "two of them are the same"


def test_what_is_missing_is_completed_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    write_secrets(path, ["flights"])
    first = read(path.read_text())
    path.write_text("".join(line for line in path.open() if not line.startswith("VALKEY_")) + "AIRFLOW_PORT=1234\n")
    path.chmod(0o644)
    assert write_secrets(path, ["churn", "flights"]) == ["VALKEY_PASSWORD", TRIGGERS]
    again = read(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert again["AIRFLOW_PORT"] == "1234"
    assert {name: again[name] for name in first if name not in ("VALKEY_PASSWORD", TRIGGERS)} == {
        name: value for name, value in first.items() if name not in ("VALKEY_PASSWORD", TRIGGERS)
    }
    accounts = json.loads(again[TRIGGERS])
    assert set(accounts) == {"churn", "flights"}
    assert accounts["flights"] == json.loads(first[TRIGGERS])["flights"]
    assert path.read_text().count(f"{TRIGGERS}=") == 1


def test_secrets_need_no_set_up(tmp_path: Path) -> None:
    """A team's machine has Python and Docker, and none of the lock."""
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(PROJECT)!r}); "
        f"from include.stack.__main__ import main; sys.exit(main(['secrets', '--file', {str(tmp_path / 'e')!r}]))",
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "AIRFLOW_ADMIN_PASSWORD" in read((tmp_path / "e").read_text())
    assert not any(value in done.stdout for value in read((tmp_path / "e").read_text()).values())


class Health(BaseHTTPRequestHandler):
    """An Airflow whose scheduler is well and whose triggerer is not."""

    def do_GET(self) -> None:
        """Answer."""
        code = 503 if self.path == "/broken" else 404 if self.path == "/missing" else 200
        self.send_response(code)
        self.end_headers()
        self.wfile.write(
            json.dumps({"scheduler": {"status": "healthy"}, "triggerer": {"status": "unhealthy"}}).encode()
        )

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Health) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def test_health_is_an_answer_and_a_components_own_word(server: str) -> None:
    assert ill(server) == ""
    assert ill(f"{server}/missing") == "", "it answers: that is all that a port without a page can say"
    assert "503" in ill(f"{server}/broken")
    assert ill(server, "scheduler") == ""
    assert ill(server, "triggerer") == "triggerer is unhealthy"
    assert "404" in ill(f"{server}/missing", "scheduler")
    assert ill("http://127.0.0.1:9/")


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with SeaweedFS(tmp_path / "s3") as s3:
        for name, value in s3.environment().items():
            monkeypatch.setenv(name, value)
        yield "evergreen"


@pytest.mark.parametrize("in_memory", [64 << 20, 1 << 20], ids=["small", "large"])
def test_a_bucket_is_poured_out_and_in_again(bucket: str, in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3

    monkeypatch.setattr("include.stack.objects.IN_MEMORY", in_memory)
    assert make_bucket(bucket) is True
    assert make_bucket(bucket) is False
    s3 = boto3.session.Session().client("s3")
    objects = {"lake/raw/a b.parquet": b"x" * 3_000_000, "artifacts/empty": b"", "ümlaut/é": b"1"}
    for key, content in objects.items():
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    stream = io.BytesIO()
    assert pour_out(bucket, stream) == len(objects) + 1
    s3.put_object(Bucket=bucket, Key="later", Body=b"gone after a restore")
    s3.put_object(Bucket=bucket, Key="artifacts/empty", Body=b"changed")
    stream.seek(0)
    assert pour_in(bucket, stream) == len(objects) + 1
    listed = {found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert listed == {*objects, ".evergreen"}
    assert all(s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content for key, content in objects.items())


def test_a_stream_that_is_cut_off_deletes_nothing(bucket: str) -> None:
    import boto3

    make_bucket(bucket)
    s3 = boto3.session.Session().client("s3")
    for name in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"x" * 20_000)
    stream = io.BytesIO()
    pour_out(bucket, stream)
    with pytest.raises((tarfile.ReadError, OSError)):
        pour_in(bucket, io.BytesIO(stream.getvalue()[: stream.tell() // 2]))
    assert {found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {".evergreen", "a", "b"}


def test_a_backup_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="it is no backup"):
        check(tmp_path)
    (tmp_path / "ledger.dump").write_bytes(b"rows")
    index = {"sha256": {"ledger.dump": digest(tmp_path / "ledger.dump")}}
    (tmp_path / INDEX).write_text(json.dumps(index))
    check(tmp_path)
    (tmp_path / "ledger.dump").write_bytes(b"row")
    with pytest.raises(StackError, match="is not what the backup wrote"):
        check(tmp_path)
    (tmp_path / "ledger.dump").unlink()
    with pytest.raises(StackError, match=r"ledger\.dump"):
        check(tmp_path)
    with pytest.raises(FileExistsError):
        back_up(tmp_path)


def test_a_command_that_fails_leaves_no_file_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="No such file"):
        Stack("ls").read(tmp_path / "out", "/no/such/folder")
    assert not (tmp_path / "out").exists()
