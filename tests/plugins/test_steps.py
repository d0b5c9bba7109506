"""What a task does around a step: checks the request, finds its time, keeps the error's words."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from include.contracts.errors import PolicyError

DUE = datetime(2026, 11, 23, 12, tzinfo=UTC)


def context(conf: dict[str, Any] | None = None, events: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """What Airflow hands a task, as far as it is looked at."""
    known: dict[str, Any] = {"batch": None, "as_of": None}
    heard = [SimpleNamespace(extra=extra, timestamp=number) for number, extra in enumerate(events or [])]
    return {
        "dag": SimpleNamespace(params=known),
        "dag_run": SimpleNamespace(conf=conf, run_after=DUE),
        "params": {**known, **(conf or {})},
        "triggering_asset_events": {"asset": heard},
    }


@pytest.mark.parametrize("conf", [None, {}, {"batch": "2013-05"}])
def test_known_keys_pass(conf: dict[str, Any] | None) -> None:
    from evergreen.steps import check_conf

    check_conf(context(conf))


def test_an_unknown_key_is_refused_and_the_known_ones_are_named() -> None:
    from evergreen.steps import check_conf

    with pytest.raises(PolicyError, match="unknown key 'image'; known: batch, as_of"):
        check_conf(context({"image": "evil", "batch": "2013-05"}))


def test_a_long_unknown_key_does_not_fill_the_log() -> None:
    from evergreen.steps import check_conf

    with pytest.raises(PolicyError) as error:
        check_conf(context({"x" * 10_000: 1}))
    assert len(str(error.value)) < 500


def test_now_is_when_the_run_was_due() -> None:
    from evergreen.steps import as_of

    assert as_of(context()) == DUE


def test_the_request_decides_the_time() -> None:
    from evergreen.steps import as_of

    asked = context({"as_of": "2013-03-01T01:00:00+01:00"}, [{"as_of": "2013-05-01T00:00:00+00:00"}])
    assert as_of(asked) == datetime(2013, 3, 1, tzinfo=UTC)


def test_a_request_from_the_future_is_refused() -> None:
    from evergreen.steps import as_of

    with pytest.raises(PolicyError, match="later than now"):
        as_of(context({"as_of": "2099-01-01T00:00:00+00:00"}))


def test_the_newest_event_decides_where_the_request_does_not() -> None:
    from evergreen.steps import as_of, heard

    told = context(
        events=[{"as_of": "2013-05-01T00:00:00+00:00", "batch": "a"}, {"as_of": "2013-04-01T00:00:00+00:00"}]
    )
    assert as_of(told) == datetime(2013, 5, 1, tzinfo=UTC)
    assert heard(told, "batch") == ["a"]


@pytest.mark.parametrize("text", ["2013-03-01T00:00:00", "yesterday"])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    from evergreen.steps import as_of

    with pytest.raises(PolicyError, match=text):
        as_of(context({"as_of": text}))
