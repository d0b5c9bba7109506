"""Lake tables and objects: once per content, atomic, on a folder and on a real S3 server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from include.lake import Lake, object_store
from include.local.seaweedfs import SeaweedFS


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with SeaweedFS(tmp_path_factory.mktemp("s3")) as server:
        server.create_bucket("evergreen")
        yield server


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "folder":
        return str(tmp_path)
    server = request.getfixturevalue("s3")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://evergreen/{tmp_path.name}"


def rows(*values: int) -> pa.Table:
    return pa.table({"a": list(values)})


def kept(lake: Lake, *batches: str) -> list[int]:
    frame = lake.scan("raw/t", batches or None)
    assert isinstance(frame, pl.LazyFrame)
    return sorted(frame.collect()["a"].to_list())


def test_a_batch_replaces_itself_and_nothing_else(root: str) -> None:
    lake = Lake(root, "flights")
    lake.commit("raw/t", "2013-01", "one", rows(1, 2))
    lake.commit("raw/t", "2013-02", "two", rows(3))
    lake.commit("raw/t", "2013-01", "one, corrected", rows(9))
    assert kept(lake) == [3, 9]
    assert kept(lake, "2013-02") == [3]


def test_the_same_content_is_written_once(root: str) -> None:
    lake = Lake(root, "flights")
    first = lake.commit("raw/t", "2013-01", "one", rows(1, 2))
    again = lake.commit("raw/t", "2013-01", "one", rows(1, 2))
    assert again == first
    assert (first.rows, first.version) == (2, 0)


def test_content_that_came_back_is_written_again(root: str) -> None:
    lake = Lake(root, "flights")
    for digest, value in (("one", 1), ("two", 2), ("one", 1)):
        lake.commit("raw/t", "2013-01", digest, rows(value))
    assert kept(lake) == [1]


def test_an_old_version_can_be_read(root: str) -> None:
    lake = Lake(root, "flights")
    old = lake.commit("raw/t", "2013-01", "one", rows(1))
    lake.commit("raw/t", "2013-01", "two", rows(2))
    frame = lake.scan("raw/t", version=old.version)
    assert frame is not None
    assert frame.collect()["a"].to_list() == [1]


def test_a_table_that_was_never_written_is_none(root: str) -> None:
    assert Lake(root, "flights").scan("raw/t") is None


def test_objects_are_whole_and_listed(root: str, tmp_path: Path) -> None:
    store = object_store(root)
    digest = store.write(f"{root}/x/a.bin", b"hello")
    assert digest == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    local = tmp_path / "copy.bin"
    assert store.download(f"{root}/x/a.bin", local) == digest
    assert store.upload(local, f"{root}/x/b.bin") == digest
    assert store.list(f"{root}/x") == [f"{root}/x/a.bin", f"{root}/x/b.bin"]
    assert store.exists(f"{root}/x/a.bin")
    store.delete(f"{root}/x/a.bin")
    store.delete(f"{root}/x/a.bin")
    assert not store.exists(f"{root}/x/a.bin")
    with pytest.raises(FileNotFoundError):
        store.read(f"{root}/x/a.bin")


def test_a_full_disk_leaves_the_old_object_whole(tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(b"old")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "from include.lake import object_store; object_store(sys.argv[1]).write(sys.argv[1], b'n' * 5000)"
    )
    done = subprocess.run(  # the kernel refuses the 1,001st byte as a full disk would
        [sys.executable, "-c", code, str(target)], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."}
    )
    assert done.returncode != 0
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


KILLED = """
import os, signal, sys
from include.lake.objects import LocalObjects
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # the write is whole, its rename never comes
LocalObjects().write(sys.argv[1], b"half")
"""


def test_deleting_takes_along_what_a_killed_writer_left(tmp_path: Path) -> None:
    uri, neighbour = tmp_path / "fit.json", tmp_path / "fit.json2"
    store = object_store(str(uri))
    store.write(str(neighbour), b"stays")
    assert subprocess.run([sys.executable, "-c", KILLED, str(uri)], check=False).returncode == -9
    assert len(list(tmp_path.iterdir())) == 2, "the writer left nothing: this test shows nothing"
    assert store.list(str(tmp_path)) == [str(neighbour)]
    store.write(str(uri), b"whole")
    store.delete(str(uri))
    assert list(tmp_path.iterdir()) == [neighbour]
