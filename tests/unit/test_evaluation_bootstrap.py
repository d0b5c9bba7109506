"""The paired bootstrap against the same thing written out, and against what it promises."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from include.contracts.errors import DataError
from include.evaluation.baseline import linear_baseline
from include.evaluation.bootstrap import _weighted_auc, _weighted_r2, compare
from include.models.scores import calibration_error, r2, roc_auc


def drawn(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = (rng.random(size) < 0.3).astype(float)
    predicted = np.round(np.clip(rng.normal(0.3 + 0.2 * label, 0.2), 0, 1), 2)  # rounded: many ties
    return label, predicted, rng.integers(0, size, size)


def test_auc_counts_pairs_with_ties_as_half() -> None:
    label, predicted, _ = drawn(300)
    ones, zeros = predicted[label == 1], predicted[label == 0]
    pairs = (ones[:, None] > zeros).mean() + 0.5 * (ones[:, None] == zeros).mean()
    assert roc_auc(label, predicted) == pytest.approx(pairs)


@pytest.mark.parametrize(("weighted", "plain"), [(_weighted_auc, roc_auc), (_weighted_r2, r2)])
@pytest.mark.parametrize("seed", range(5))
def test_a_counted_resample_scores_as_the_resampled_rows(weighted: Any, plain: Any, seed: int) -> None:
    label, predicted, index = drawn(500, seed)
    counts = np.bincount(index, minlength=label.size).astype(float)
    assert weighted(label, predicted)(counts) == pytest.approx(plain(label[index], predicted[index]))


def test_equal_models_gain_nothing_and_a_better_one_gains() -> None:
    label, predicted, _ = drawn(2_000)
    same = compare("roc_auc", label, predicted, predicted, 200)
    assert (same.gain.estimate, same.gain.low, same.gain.high) == (0, 0, 0)
    better = compare("roc_auc", label, predicted + 0.1 * label, predicted, 200)
    assert 0 < better.gain.low < better.gain.estimate < better.gain.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = 0.7602  # of two unit normals one standard deviation apart: Phi(1 / sqrt 2)
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        label = (rng.random(600) < 0.5).astype(float)
        found = compare("roc_auc", label, rng.normal(label), None, 200).challenger
        inside += found.low <= truth <= found.high
    assert inside >= 51


def test_rows_of_one_class_carry_no_verdict() -> None:
    with pytest.raises(DataError, match="too few or too alike"):
        compare("roc_auc", np.zeros(50), np.linspace(0, 1, 50), None, 20)


def test_calibration_error_is_the_gap_between_said_and_seen() -> None:
    label = np.tile([1.0, 0.0, 0.0, 0.0], 250)
    assert calibration_error(label, np.full(1000, 0.25)) == pytest.approx(0, abs=0.01)
    assert calibration_error(label, np.full(1000, 0.45)) == pytest.approx(0.2, abs=0.01)


def test_the_baseline_finds_a_line_through_gaps() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2_000, 2))
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1]}).with_columns(
        a=pl.when(pl.int_range(2_000) % 10 == 0).then(None).otherwise(pl.col("a"))
    )
    label = 3 * x[:, 0] - x[:, 1] + 5
    predicted = linear_baseline(frame[:1500], label[:1500], frame[1500:], ["a", "b"])
    assert r2(label[1500:], predicted) > 0.8
    assert linear_baseline(frame, label, frame[:3], []).tolist() == [label.mean()] * 3
