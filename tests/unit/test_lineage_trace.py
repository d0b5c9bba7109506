"""The walk on paper: what is drawn once, what is missing, and what is said where there is no walk."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from include.contracts.data import TableVersion
from include.contracts.verdict import Champion
from include.ledger import Ledger
from include.lineage import datasets
from include.lineage.__main__ import main
from include.lineage.datasets import Named
from include.lineage.events import completed
from include.lineage.observation import Observation
from include.lineage.send import send
from include.settings import settings
from tests.lineage_world import AS_OF

MOMENT = datetime.fromisoformat(AS_OF)
STEPS = {
    "commit": "ingestion.commit",
    "build": "features.build_features",
    "set": "features.build_training_set",
    "train": "training.train",
    "promote": "promotion.promote",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.delenv("EVERGREEN_LINEAGE", raising=False)
    return tmp_path


def file(name: str) -> Named:
    return datasets.file(f"s3://b/{name}", name * 16, 7)


def table(name: str, *batches: int) -> Named:
    written = [
        (f"w{n}", TableVersion(name=name, uri=f"s3://b/toy/{name}", version=n, rows=n, digest=f"{n}" * 64))
        for n in batches
    ]
    return datasets.table(written)


def tell(step: str, request: str, read: list[Named], written: list[Named]) -> None:
    """The event of a step that ended well."""
    seen = Observation("toy", STEPS[step], {}, MOMENT, request, identity=str(read))
    send(completed(seen, read, written), settings())


def history(*, without: str = "") -> None:
    """Two batches, of which the second looks back on the first, and a model of both."""
    told = [
        ("commit", "w1", [file("f1")], [table("raw/r", 1)]),
        ("commit", "w2", [file("f2")], [table("raw/r", 2)]),
        ("build", "w1", [table("raw/r", 1)], [table("features/x", 1)]),
        ("build", "w2", [table("raw/r", 1, 2)], [table("features/x", 2)]),
        ("set", "ask-1", [table("features/x", 1, 2)], [file("set")]),
        ("train", "ask-1", [file("set")], [file("model")]),
        ("promote", "ask-1", [file("model")], [datasets.model("toy", 1)]),
    ]
    for step, request, read, written in told:
        if step != without:
            tell(step, request, read, written)


def test_what_two_runs_have_read_is_drawn_once(capsys: pytest.CaptureFixture[str]) -> None:
    history()
    assert main(["trace", "toy", "--version", "1"]) == 0
    lines = [line.lstrip("│ ├└─") for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "toy v1"
    assert [line for line in lines if "DAG run" in line] == [
        "toy_retrain.promote  DAG run ask-1",
        "toy_retrain.train  DAG run ask-1",
        "toy_retrain.build_training_set  DAG run ask-1",
        "toy_ingest.build_features  DAG run w1",
        "toy_ingest.commit  DAG run w1",
        "toy_ingest.build_features  DAG run w2",
        "and what is above of DAG run w1",
        "toy_ingest.commit  DAG run w2",
    ]
    raw = [line for line in lines if line.startswith("raw file")]
    assert raw == [f"raw file  7 bytes  sha256 {name * 16}  s3://b/{name}" for name in ("f1", "f2")]
    assert "features/x  batch w2  version 2  2 rows  digest 222222222222" in lines


def test_who_came_later_has_found_it_done(capsys: pytest.CaptureFixture[str]) -> None:
    history()
    tell("commit", "again", [file("f1")], [table("raw/r", 1)])
    assert main(["trace", "toy", "--version", "1"]) == 0
    assert "DAG run again" not in capsys.readouterr().out


def test_the_champion_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    history()
    champion = Champion(
        use_case="toy",
        version=1,
        revision=1,
        model_uri="s3://b/model",
        model_digest="d",
        manifest_uri="s3://b/manifest.json",
        metric=0.8,
        evaluation="by the test",
        since=MOMENT,
    )
    assert Ledger.at(settings().ledger_url).swap_champion(champion)
    assert main(["trace", "toy"]) == 0
    assert capsys.readouterr().out.startswith("toy v1\n")


@pytest.mark.parametrize(("lost", "count"), [("train", 1), ("build", 2), ("set", 1)])
def test_a_missing_link_is_named_and_is_no_success(lost: str, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    history(without=lost)
    assert main(["trace", "toy", "--version", "1"]) == 1
    said = capsys.readouterr()
    assert said.out.count("NO EVENT SAYS WHO MADE IT") == count
    assert said.err == f"{count} datasets came from runs of which no event is there\n"


def test_a_run_that_failed_made_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history()
    path = home / "lineage.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    events[-1]["eventType"] = "FAIL"
    path.write_text("\n".join(map(json.dumps, events)))
    assert main(["trace", "toy", "--version", "1"]) == 65
    assert "no event says how toy v1 came about; known: none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("off", 67, "EVERGREEN_LINEAGE is off"),
        ("http://marquez:5000/", 67, "http://marquez:5000/api/v1/lineage?nodeId=dataset:mlflow:toy"),
        ("nowhere.jsonl", 65, "there are no events in nowhere.jsonl"),
    ],
)
def test_without_a_file_it_says_where_to_look(
    target: str, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVERGREEN_LINEAGE", target)
    assert main(["trace", "toy", "--version", "1"]) == code
    assert words in capsys.readouterr().err


def test_without_a_champion_it_asks_for_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    history()
    assert main(["trace", "other"]) == 65
    assert "other has no champion" in capsys.readouterr().err


def test_a_broken_line_is_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history()
    with (home / "lineage.jsonl").open("a") as lines:
        lines.write('{"eventType": "COMP')
    assert main(["trace", "toy", "--version", "1"]) == 65
    assert "line 8 of" in capsys.readouterr().err
