"""What speaks for a retrain, the strongest first: no champion, measured loss, drift, age."""

from collections.abc import Callable
from datetime import datetime
from statistics import fmean

from include.contracts.decision import History, Rule
from include.contracts.monitoring import DriftReport, WindowState
from include.contracts.use_case import UseCase
from include.contracts.verdict import Champion
from include.policy.finding import Finding

Cause = Callable[[UseCase, History, datetime], Finding]

METRIC = {"roc_auc": "AUC", "r2": "R²"}


def first_champion(use_case: UseCase, history: History, _: datetime) -> Finding:
    """No champion, and enough batches to train one."""
    have, need = len(history.batches), use_case.retraining.first_after_batches
    if history.champion:
        text = f"v{history.champion.version} is champion since {history.champion.since:%Y-%m-%d}"
        return Finding("first champion", False, text, Rule.FIRST_CHAMPION, speaks=False)
    text = f"no champion yet, {have} of {need} batches with features"
    return Finding("first champion", have >= need, text, Rule.FIRST_CHAMPION)


def performance_decay(use_case: UseCase, history: History, _: datetime) -> Finding:
    """Measured loss in `n` of the newest `m` windows whose labels are in."""
    rule, retraining = Rule.PERFORMANCE_DECAY, use_case.retraining
    if history.champion is None:
        return Finding("performance", False, "no champion", rule, speaks=False)
    bound = max(history.champion.metric - retraining.decay, retraining.minimum_metric or float("-inf"))
    metrics = [w.metric for w in _usable(history) if w.metric is not None][-retraining.windows.m :]
    if not metrics:
        return Finding("performance", False, "no window with labels yet", rule)
    below = [metric for metric in metrics if metric < bound]
    name = METRIC[use_case.task.metric]
    if len(below) >= retraining.windows.n:
        text = f"performance decay: {name} {_below(fmean(below), bound)} in {len(below)} of {len(metrics)} windows"
        return Finding("performance", True, text, rule)
    text = f"{name} {fmean(metrics):.3f} in the newest {len(metrics)} windows, {len(below)} below {bound:.3f}"
    return Finding("performance", False, text, rule)


def drift(use_case: UseCase, history: History, _: datetime) -> Finding:
    """Columns that the model leans on drifted in `n` of the newest `m` windows; cleared with hysteresis."""
    if history.champion is None:
        return Finding("drift", False, "no champion", Rule.DRIFT, speaks=False)
    windows = _usable(history)
    newest = windows[-use_case.retraining.windows.m :]
    if not newest:
        return Finding("drift", False, "no window to judge yet", Rule.DRIFT)
    drifted = [window for window in newest if window.state is WindowState.DRIFTED]
    raised = alarm(use_case, windows)
    text = f"{len(drifted)} of {len(newest)} windows drifted{_leaning(newest)}"
    if raised and not use_case.retraining.drift:
        return Finding("drift", False, f"{text}; drift alone does not retrain {use_case.name}", Rule.DRIFT)
    if raised and len(drifted) < use_case.retraining.windows.n:
        text = f"{text}; the alarm of an earlier window has not cleared"
    return Finding("drift", raised, f"drift: {text}" if raised else text, Rule.DRIFT)


def age(use_case: UseCase, history: History, as_of: datetime) -> Finding:
    """The champion is older than the declaration allows."""
    limit, champion = use_case.retraining.maximum_age, history.champion
    if limit is None or champion is None:
        return Finding("age", False, "no limit" if limit is None else "no champion", Rule.AGE, speaks=False)
    days = (as_of - champion.since).days
    text = f"champion v{champion.version} is {days} days old, {limit.days} allowed"
    return Finding("age", as_of - champion.since > limit, text, Rule.AGE, speaks=False)


CAUSES: tuple[Cause, ...] = (first_champion, performance_decay, drift, age)


def alarm(use_case: UseCase, windows: list[DriftReport]) -> bool:
    """Whether the drift alarm stands after `windows`, oldest first.

    `n` of `m` drifted windows raise it. It stands until a window's drifted columns carry less than `clear` times
    the importance that makes a window drifted.
    """
    n_of_m, raised = use_case.retraining.windows, False
    keep = use_case.retraining.clear * use_case.monitoring.importance_floor
    states = [window.state is WindowState.DRIFTED for window in windows]
    for position, window in enumerate(windows):
        recent = states[max(0, position + 1 - n_of_m.m) : position + 1]
        standing = raised and (states[position] or window.drifted_importance >= keep > 0)
        raised = sum(recent) >= n_of_m.n or standing
    return raised


def _usable(history: History) -> list[DriftReport]:
    """Windows that the champion made and that may speak: bad data and too few rows never ask for a retrain."""
    champion = history.champion
    return [window for window in history.windows if champion and _speaks(window, champion)]


def _speaks(window: DriftReport, champion: Champion) -> bool:
    sound = window.state in {WindowState.DRIFTED, WindowState.STABLE}
    # since: after a rollback, what the same version showed in its first life has been answered already
    return sound and window.model_version == champion.version and window.as_of >= champion.since


def _leaning(windows: list[DriftReport]) -> str:
    """What drifted in the window where it weighs most."""
    heaviest = max(windows, key=lambda window: window.drifted_importance)
    drifted = [column for column in heaviest.columns if column.drifted and column.counted]
    if not drifted:
        return ""
    names = [column.column for column in sorted(drifted, key=lambda column: -column.importance)]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f" ({', '.join(names[:3])}{more} carry {heaviest.drifted_importance:.0%} of the model's gain)"


def _below(value: float, bound: float) -> str:
    """Two decimals where they tell the numbers apart, more where they do not."""
    digits = 2 if round(value, 2) < round(bound, 2) else 4
    return f"{value:.{digits}f} < {bound:.{digits}f}"
