"""What Great Expectations passes by default does not pass here; what fails is kept, explained, and ruled on."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import great_expectations.expectations as gxe
import pyarrow as pa
import pytest

from include.contracts.data import LandedFile, ValidationReport
from include.contracts.errors import DataError, PolicyError
from include.contracts.record import Kind
from include.ledger import Ledger
from include.validation.quarantine import Ruling, is_held, rule
from include.validation.suite import judge, unreadable
from include.validation.verdict import Verdict

AS_OF = datetime(2024, 2, 1, tzinfo=UTC)
DIGEST = "ab" * 32
ROWS = gxe.ExpectTableRowCountToBeBetween(min_value=2)
RANGE = gxe.ExpectColumnValuesToBeBetween(column="n", min_value=0, max_value=9)


def judged(table: pa.Table, *expectations: object) -> ValidationReport:
    return judge("raw", "2024-01", {"t": table}, {"t": [ROWS, *expectations]})


def test_what_is_good_passes_and_all_of_it_was_looked_at() -> None:
    report = judged(pa.table({"n": [1.0, 2.0, None]}), RANGE)
    assert report.success
    assert (report.declared, report.evaluated, report.rows) == (4, 4, {"t": 3})


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([], "row_count"),
        ([1.0], "row_count"),
        ([None, None], "every column has a value"),
        ([float("nan"), float("nan")], "every column has a value"),
        ([1.0, float("inf")], "every number is finite"),
        ([1.0, float("-inf")], "every number is finite"),
        ([1.0, 99.0], "expect_column_values_to_be_between"),
    ],
)
def test_what_is_bad_fails(values: list[float | None], named: str) -> None:
    report = judged(pa.table({"n": pa.array(values, pa.float64())}), RANGE)
    assert not report.success
    assert any(named in failure.expectation for failure in report.failures)


def test_an_expectation_that_cannot_be_evaluated_is_a_failure() -> None:
    report = judged(pa.table({"m": [1, 2]}), RANGE)
    assert not report.success
    assert (report.declared, report.evaluated) == (4, 3)
    assert "not evaluated" in report.failures[0].observed


def test_a_table_that_is_not_there_is_a_failure() -> None:
    report = judge("raw", "2024-01", {"t": pa.table({"n": [1, 2]})}, {"t": [ROWS], "u": [ROWS]})
    assert not report.success
    assert [failure.table for failure in report.failures] == ["u"]
    assert report.evaluated < report.declared


def test_a_table_without_a_least_number_of_rows_is_refused() -> None:
    for expectations in ([], [RANGE], [gxe.ExpectTableRowCountToBeBetween(max_value=9)]):
        with pytest.raises(PolicyError, match="least number of rows of table 't'"):
            judge("raw", "2024-01", {"t": pa.table({"n": [1]})}, {"t": expectations})
    with pytest.raises(PolicyError, match="least number of rows of table 'u'"):
        judge("raw", "2024-01", {"t": pa.table({"n": [1]}), "u": pa.table({"n": [1]})}, {"t": [ROWS]})


def test_up_to_ten_offending_rows_are_shown_with_their_neighbours() -> None:
    table = pa.table({"who": [f"c{n}" for n in range(50)], "n": list(range(50))})
    (failure,) = judged(table, RANGE).failures
    assert len(failure.offending) == 10
    assert failure.offending[0] == "row 10: n=10, who=c10"
    assert failure.observed == "40 of 50 rows (80.00%) do not meet it"


def test_great_expectations_leaves_no_folder_and_no_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with caplog.at_level(logging.INFO):
        assert judged(pa.table({"n": [1, 2]}), RANGE).success
    assert not list(tmp_path.iterdir())
    assert not [record for record in caplog.records if record.name.startswith("great_expectations")]
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.at(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture
def verdict(tmp_path: Path, ledger: Ledger) -> Verdict:
    return Verdict(ledger, str(tmp_path / "artifacts"), "churn", "raw", "2024-01", DIGEST)


@pytest.fixture
def files(tmp_path: Path) -> list[LandedFile]:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    return [LandedFile(name="t", uri=str(tmp_path / "t.parquet"), digest="d", size=4)]


def bad() -> ValidationReport:
    return judged(pa.table({"n": [1, 99]}), RANGE)


def test_success_is_recorded_once_and_found_again(verdict: Verdict, ledger: Ledger) -> None:
    assert verdict.passed() is None
    report = verdict.settle(judged(pa.table({"n": [1, 2]}), RANGE), AS_OF)
    assert verdict.passed() == report
    assert Path(report.report_uri).read_text().startswith("# churn 2024-01: raw data good")
    assert ledger.get("churn", Kind.BATCH_VALIDATED, f"raw/2024-01@{DIGEST[:12]}") is not None


def test_failure_is_quarantined_with_files_report_and_commands(
    verdict: Verdict, ledger: Ledger, files: list[LandedFile], tmp_path: Path
) -> None:
    with pytest.raises(DataError) as raised:
        verdict.settle(bad(), AS_OF, files)
    folder = tmp_path / "artifacts" / "churn" / "quarantine" / "2024-01" / DIGEST[:12]
    assert (folder / "t.parquet").read_bytes() == b"PAR1"
    assert json.loads((folder / "report-raw.json").read_text())["success"] is False
    page = (folder / "report-raw.md").read_text()
    for word in ("t.n expect_column_values_to_be_between", "1 of 2 rows", "row 1: n=99"):
        assert word in str(raised.value)
        assert word in page
    assert str(folder / "report-raw.md") in raised.value.next_step
    assert "quarantine release churn 2024-01" in raised.value.next_step
    assert is_held(ledger, "churn", verdict.key)
    assert verdict.passed() is None


def test_a_release_lets_exactly_this_content_pass(
    verdict: Verdict, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DataError):
        verdict.settle(bad(), AS_OF)
    rule(ledger, "churn", "2024-01", Ruling.RELEASED, "the storm was real", AS_OF)
    assert not is_held(ledger, "churn", verdict.key)
    report = verdict.settle(bad(), AS_OF)
    assert not report.success
    assert "the storm was real" in report.override
    assert "passes by override" in caplog.text
    assert verdict.passed() == report
    other = Verdict(ledger, str(tmp_path / "artifacts"), "churn", "raw", "2024-01", "cd" * 32)
    with pytest.raises(DataError):
        other.settle(bad(), AS_OF)


def test_a_dropped_content_is_refused_for_good_and_its_copies_are_gone(
    verdict: Verdict, ledger: Ledger, files: list[LandedFile], tmp_path: Path
) -> None:
    with pytest.raises(DataError):
        verdict.settle(bad(), AS_OF, files)
    rule(ledger, "churn", "2024-01", Ruling.DROPPED, "export was broken", AS_OF)
    assert is_held(ledger, "churn", verdict.key)
    with pytest.raises(DataError, match=r"dropped by .*: export was broken"):
        verdict.passed()
    left = {path.name for path in (tmp_path / "artifacts").rglob("*") if path.is_file()}
    assert left == {"report-raw.md", "report-raw.json"}


def test_the_newest_ruling_counts(verdict: Verdict, ledger: Ledger) -> None:
    with pytest.raises(DataError):
        verdict.settle(bad(), AS_OF)
    for said in (Ruling.RELEASED, Ruling.DROPPED, Ruling.RELEASED):
        rule(ledger, "churn", "2024-01", said, "because", AS_OF)
    assert not is_held(ledger, "churn", verdict.key)
    assert len(ledger.find("churn", Kind.QUARANTINE_RULED)) == 3


def test_what_cannot_be_read_cannot_be_released(verdict: Verdict, ledger: Ledger) -> None:
    with pytest.raises(DataError, match="cannot parse the footer"):
        verdict.settle(unreadable("raw", "2024-01", "cannot parse the footer"), AS_OF)
    with pytest.raises(PolicyError, match="cannot be read at all"):
        rule(ledger, "churn", "2024-01", Ruling.RELEASED, "please", AS_OF)


@pytest.mark.parametrize(
    ("batch", "reason", "words"), [("2024-02", "x", "there is: 2024-01@"), ("2024-01", " ", "reason")]
)
def test_a_ruling_needs_a_batch_and_a_reason(
    verdict: Verdict, ledger: Ledger, batch: str, reason: str, words: str
) -> None:
    with pytest.raises(DataError):
        verdict.settle(bad(), AS_OF)
    with pytest.raises(PolicyError, match=words):
        rule(ledger, "churn", batch, Ruling.RELEASED, reason, AS_OF)
