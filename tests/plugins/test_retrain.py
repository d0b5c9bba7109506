"""How a retrain ended, told from the states of its tasks."""

from typing import Any

import pytest

STATES = {"plan": "success", "train": "success", "promote": "success", "close": "running"}


def nothing(**_: Any) -> None:
    return None


def said(words: dict[str, str]) -> Any:
    """Reads the words that failed tasks left."""
    return lambda task_ids, key: words.get(task_ids) if key == "error" else None


@pytest.mark.parametrize("outcome", ["promoted", "rejected"])
def test_the_last_task_says_the_outcome(outcome: str) -> None:
    from evergreen.retrain import ended

    result = {"outcome": outcome, "version": 3, "reason": "9/9 checks"}
    assert ended(STATES, "plan", result, nothing) == {"outcome": outcome, "reason": "9/9 checks", "version": 3}


def test_a_duplicate_is_closed_already() -> None:
    from evergreen.retrain import ended

    states = {"plan": "skipped", "train": "skipped", "promote": "skipped"}
    assert ended(states, "plan", None, nothing) is None


def test_a_failure_repeats_the_words_of_the_task_that_failed() -> None:
    from evergreen.retrain import ended

    states = {**STATES, "train": "failed", "promote": "upstream_failed"}
    ending = ended(states, "plan", None, said({"train": "ModelError: out of memory"}))
    assert ending == {"outcome": "failed", "reason": "train: ModelError: out of memory", "version": None}


def test_a_task_that_was_killed_left_no_words() -> None:
    from evergreen.retrain import ended

    states = {**STATES, "train": "failed", "promote": "upstream_failed"}
    ending = ended(states, "plan", None, nothing)
    assert ending is not None
    assert ending["reason"] == "train: it ended without a word, read its log"


def test_no_outcome_is_a_failure_too() -> None:
    from evergreen.retrain import ended

    ending = ended({**STATES, "promote": "removed"}, "plan", None, nothing)
    assert ending is not None
    assert ending["outcome"] == "failed"
