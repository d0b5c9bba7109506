"""The policy as a pure function: a table of cases, properties, and a simulated year."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from include.contracts.data import DatasetSnapshot, data_version
from include.contracts.decision import History, Outcome, RetrainDecision, RetrainRequest, Rule
from include.contracts.monitoring import ColumnDrift, DriftReport, WindowState
from include.contracts.use_case import BinaryClassification, NOfM, Retraining, UseCase
from include.contracts.verdict import Champion
from include.policy.decide import decide

START = datetime(2013, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
DAY = timedelta(days=1)


def use_case(**retraining: Any) -> UseCase:
    return UseCase(
        name="flights",
        owner="ops",
        description="late?",
        task=BinaryClassification(label="late"),
        entity_keys=("flight_id",),
        event_time="departure",
        feature_service="flights_v1",
        retraining=Retraining(**{"windows": NOfM(2, 3), "cooldown": WEEK, **retraining}),
    )


def champion(version: int = 1, since: datetime = START, metric: float = 0.70) -> Champion:
    return Champion(
        use_case="flights",
        version=version,
        revision=version,
        model_uri="m",
        model_digest="d",
        manifest_uri="u",
        metric=metric,
        evaluation="e",
        since=since,
    )


def batch(week: int) -> DatasetSnapshot:
    starts = START + week * WEEK
    return DatasetSnapshot(batch=f"w{week:02}", starts=starts, ends=starts + WEEK, tables=(), digest=f"digest{week}")


def window(
    week: int,
    state: WindowState = WindowState.STABLE,
    metric: float | None = None,
    version: int = 1,
    importance: float | None = None,
) -> DriftReport:
    starts = START + week * WEEK
    carried = importance if importance is not None else 0.5 if state is WindowState.DRIFTED else 0.0
    column = ColumnDrift(
        column="temp", method="wasserstein", score=0.4, threshold=0.2, drifted=carried > 0, importance=carried
    )
    return DriftReport(
        use_case="flights",
        batch=f"w{week:02}",
        starts=starts,
        ends=starts + WEEK,
        as_of=starts + WEEK + DAY,
        model_version=version,
        state=state,
        rows=5000,
        labelled=0 if metric is None else 5000,
        columns=(column,),
        drifted_importance=carried,
        prediction_drift=None,
        metric=metric,
        baseline=0.70,
    )


def request(
    name: str, week: float, outcome: Outcome | None, automatic: bool = True, rule: Rule = Rule.DRIFT
) -> RetrainRequest:
    as_of = START + week * WEEK
    return RetrainRequest(
        id=name,
        rule=rule,
        automatic=automatic,
        as_of=as_of,
        data_version=f"data of {name}",
        reason="because",
        outcome=outcome,
        closed_as_of=as_of + timedelta(hours=1) if outcome else None,
    )


def history(
    windows: tuple[DriftReport, ...] = (),
    requests: tuple[RetrainRequest, ...] = (),
    batches: int = 12,
    holder: Champion | None = champion(),  # noqa: B008
) -> History:
    return History(
        champion=holder, batches=tuple(batch(week) for week in range(batches)), windows=windows, requests=requests
    )


NOW = START + 12 * WEEK + DAY
DRIFTED, STABLE = WindowState.DRIFTED, WindowState.STABLE
DECAYED = (window(9, metric=0.66), window(10, metric=0.64), window(11, metric=0.69))
DRIFTING = (window(9), window(10, DRIFTED), window(11, DRIFTED))
REJECTED3 = tuple(request(f"r{week}", week, Outcome.REJECTED) for week in (2, 4, 6))

CASES: dict[str, tuple[UseCase, History, Rule | None, str]] = {
    "nothing": (use_case(), history(), None, "nothing speaks for a retrain: no window with labels yet"),
    "too few batches": (use_case(), history(batches=1, holder=None), None, "1 of 2 batches"),
    "first champion": (use_case(), history(batches=2, holder=None), Rule.FIRST_CHAMPION, "2 of 2 batches"),
    "decay": (use_case(), history(DECAYED), Rule.PERFORMANCE_DECAY, "performance decay: AUC 0.65 < 0.68 in 2 of 3"),
    "decay counts the newest only": (
        use_case(),
        history((window(5, metric=0.5), window(6, metric=0.5), *(window(w, metric=0.7) for w in (9, 10, 11)))),
        None,
        "AUC 0.700 in the newest 3 windows, 0 below 0.680",
    ),
    "under the declared minimum": (
        use_case(minimum_metric=0.699, decay=0.5),
        history((window(10, metric=0.69), window(11, metric=0.69))),
        Rule.PERFORMANCE_DECAY,
        "AUC 0.69 < 0.70 in 2 of 2",
    ),
    "numbers that differ late": (
        use_case(minimum_metric=0.7),
        history((window(10, metric=0.699), window(11, metric=0.699))),
        Rule.PERFORMANCE_DECAY,
        "AUC 0.6990 < 0.7000",
    ),
    "no labels yet": (use_case(), history((window(10), window(11))), None, "no window with labels yet"),
    "another version decayed": (
        use_case(),
        history(tuple(window(w, metric=0.5, version=2) for w in (9, 10, 11))),
        None,
        "no window with labels",
    ),
    "before a rollback": (use_case(), history(DECAYED[:2], holder=champion(since=NOW)), None, "no window with labels"),
    "drift": (use_case(), history(DRIFTING), Rule.DRIFT, "2 of 3 windows drifted (temp carry 50% of the model's gain)"),
    "drift is switched off": (use_case(drift=False), history(DRIFTING), None, "drift alone does not retrain"),
    "drift in one window": (use_case(), history((window(9), window(10), window(11, DRIFTED))), None, "1 of 3 windows"),
    "measured loss outranks drift": (
        use_case(),
        history(tuple(window(w, DRIFTED, metric=0.5) for w in (9, 10, 11))),
        Rule.PERFORMANCE_DECAY,
        "AUC 0.50",
    ),
    "an alarm that does not clear": (
        use_case(),
        history((window(7, DRIFTED), window(8, DRIFTED), *(window(w, importance=0.2) for w in (9, 10, 11)))),
        Rule.DRIFT,
        "has not cleared",
    ),
    "an alarm that clears": (
        use_case(),
        history((window(7, DRIFTED), window(8, DRIFTED), *(window(w, importance=0.17) for w in (9, 10, 11)))),
        None,
        "0 of 3 windows drifted",
    ),
    "bad data never counts": (
        use_case(),
        history(tuple(window(w, WindowState.BAD_DATA, metric=0.3, importance=0.9) for w in (9, 10, 11))),
        None,
        "no window with labels",
    ),
    "too few rows never count": (
        use_case(),
        history(tuple(window(w, WindowState.INSUFFICIENT, metric=0.3, importance=0.9) for w in (9, 10, 11))),
        None,
        "no window with labels",
    ),
    "age": (use_case(maximum_age=30 * DAY), history(), Rule.AGE, "v1 is 85 days old, 30 allowed"),
    "in flight": (use_case(), history(DECAYED, (request("run1", 11, None),)), None, "request run1 is in flight"),
    "breaker": (use_case(), history(DECAYED, REJECTED3), None, "3 challengers in a row were rejected, only a person"),
    "a promotion closes the breaker": (
        use_case(),
        history(DECAYED, (*REJECTED3, request("good", 8, Outcome.PROMOTED))),
        Rule.PERFORMANCE_DECAY,
        "performance decay",
    ),
    "a failure is no rejection": (
        use_case(),
        history(DECAYED, (*REJECTED3[:2], request("bad", 8, Outcome.FAILED))),
        Rule.PERFORMANCE_DECAY,
        "performance decay",
    ),
    "cooldown": (
        use_case(),
        history(DECAYED, (request("a", 11.5, Outcome.FAILED),)),
        None,
        "cooldown until 2013-03-29",
    ),
    "a person causes no cooldown": (
        use_case(),
        history(DECAYED, (request("a", 11.5, Outcome.FAILED, automatic=False),)),
        Rule.PERFORMANCE_DECAY,
        "performance decay",
    ),
    "the first champion knows no cooldown": (
        use_case(),
        history(requests=(request("a", 11.9, Outcome.FAILED),), holder=None),
        Rule.FIRST_CHAMPION,
        "no champion yet",
    ),
    "budget": (
        use_case(cooldown=DAY),
        history(DECAYED, tuple(request(f"r{i}", 11.2 + i / 10, Outcome.FAILED) for i in range(3))),
        None,
        "3 of 3 automatic retrains used in seven days",
    ),
    "the future is not seen": (
        use_case(),
        history(tuple(window(w, metric=0.3) for w in (12, 13)), (request("later", 13, None),)),
        None,
        "no window with labels",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_decision(case: str) -> None:
    declared, known, rule, words = CASES[case]
    decision = decide(declared, known, NOW)
    assert (decision.rule if decision.retrain else None) == rule, decision.reason
    assert words in decision.reason
    assert decision.request.startswith(f"auto-{rule}-") if rule else decision.request == ""
    assert len(decision.considered) >= 8


def test_open_at_the_time_though_closed_later() -> None:
    asked = request("run1", 12, Outcome.PROMOTED).model_copy(update={"closed_as_of": NOW + DAY})
    assert "run1 is in flight" in decide(use_case(), history(DECAYED, (asked,)), NOW).reason


def test_same_cause_is_the_same_id_and_is_asked_once() -> None:
    first = decide(use_case(), history(DECAYED), NOW)
    again = decide(use_case(), history(DECAYED), NOW + DAY)
    assert first.request == again.request
    ended = request(first.request, 3, Outcome.REJECTED, rule=Rule.PERFORMANCE_DECAY)
    third = decide(use_case(), history(DECAYED, (ended,)), NOW)
    assert not third.retrain
    assert "ended rejected" in third.reason


def test_data_that_were_judged_are_not_asked_for_by_another_rule() -> None:
    known = history(DRIFTING)
    judged = request("by hand", 3, Outcome.REJECTED, automatic=False).model_copy(
        update={"data_version": data_version(known.batches)}
    )
    assert not decide(use_case(), history(DRIFTING, (judged,)), NOW).retrain


def test_new_data_may_ask_again() -> None:
    first = decide(use_case(), history(DECAYED), NOW)
    ended = request(first.request, 3, Outcome.REJECTED, rule=Rule.PERFORMANCE_DECAY)
    corrected = history(DECAYED, (ended,))
    changed = corrected.batches[-1].model_copy(update={"digest": "corrected"})
    second = decide(use_case(), corrected.model_copy(update={"batches": (*corrected.batches[:-1], changed)}), NOW)
    assert second.retrain
    assert second.request != first.request


def live(
    weeks: int,
    declared: UseCase,
    see: Callable[[int, int], DriftReport],
    judge: Callable[[RetrainDecision], Outcome | None],
) -> list[tuple[RetrainDecision, RetrainRequest]]:
    """Live through `weeks`, deciding every day; `see` makes a week's window, `judge` ends a retrain (None: days later).

    Returns:
        Every retrain with its request.
    """
    holder: Champion | None = None
    batches: tuple[DatasetSnapshot, ...] = ()
    windows: tuple[DriftReport, ...] = ()
    asked: dict[str, RetrainRequest] = {}
    decisions: list[RetrainDecision] = []
    for day in range(weeks * 7):
        now = START + day * DAY + WEEK + DAY
        if day % 7 == 0:
            batches += (batch(day // 7),)
            if holder:
                windows += (see(day // 7, holder.version),)
        for name, open_one in [(n, r) for n, r in asked.items() if r.outcome is None]:
            asked[name] = open_one.model_copy(update={"outcome": Outcome.FAILED, "closed_as_of": now})
        known = History(champion=holder, batches=batches, windows=windows, requests=tuple(asked.values()))
        decision = decide(declared, known, now)
        if not decision.retrain:
            continue
        assert not any(r.outcome is None for r in asked.values()), "asked while one was open"
        assert decision.request not in asked, "asked twice for one cause"
        outcome = judge(decision)
        decisions.append(decision)
        asked[decision.request] = RetrainRequest(
            id=decision.request,
            rule=decision.rule or Rule.REQUESTED,
            automatic=True,
            as_of=now,
            data_version=decision.data_version,
            reason=decision.reason,
            outcome=outcome,
            closed_as_of=now if outcome else None,
        )
        if outcome is Outcome.PROMOTED:
            holder = champion(version=(holder.version if holder else 0) + 1, since=now)
    return [(decision, asked[decision.request]) for decision in decisions]


def test_a_quiet_year_retrains_nothing_but_the_first() -> None:
    retrains = live(52, use_case(), lambda week, v: window(week, metric=0.70, version=v), lambda _: Outcome.PROMOTED)
    assert [decision.rule for decision, _ in retrains] == [Rule.FIRST_CHAMPION]


def test_drift_asks_exactly_once_until_promoted() -> None:
    def see(week: int, version: int) -> DriftReport:
        state = DRIFTED if week >= 20 and version == 1 else STABLE
        return window(week, state, metric=0.70, version=version)

    retrains = live(52, use_case(), see, lambda _: Outcome.PROMOTED)
    assert [decision.rule for decision, _ in retrains] == [Rule.FIRST_CHAMPION, Rule.DRIFT]
    assert retrains[1][0].batches == 22  # the second drifted week is the 22nd batch


@pytest.mark.parametrize(("requests", "is_open"), [(REJECTED3, True), (REJECTED3[:2], False)])
def test_a_decision_says_whether_the_breaker_is_open(requests: tuple[RetrainRequest, ...], is_open: bool) -> None:
    assert decide(use_case(), history(DECAYED, requests), START + 12 * WEEK).breaker_open is is_open


def test_rejections_end_at_the_breaker() -> None:
    retrains = live(
        52,
        use_case(),
        lambda week, v: window(week, DRIFTED, metric=0.5, version=v),
        lambda d: Outcome.PROMOTED if d.rule is Rule.FIRST_CHAMPION else Outcome.REJECTED,
    )
    assert len(retrains) == 1 + 3


@effort(max_examples=60, deadline=None)
@given(
    states=st.lists(st.sampled_from(list(WindowState)), min_size=20, max_size=20),
    metrics=st.lists(st.one_of(st.none(), st.floats(0.5, 0.8)), min_size=20, max_size=20),
    outcomes=st.lists(st.sampled_from([*Outcome, None]), min_size=1, max_size=20),
    budget=st.integers(1, 3),
)
def test_any_life_keeps_the_limits(
    states: list[WindowState], metrics: list[float | None], outcomes: list[Outcome | None], budget: int
) -> None:
    endings = iter(outcomes * 50)
    retrains = live(
        20,
        use_case(cooldown=DAY, at_most_per_week=budget, maximum_age=3 * DAY),
        lambda week, v: window(week, states[week], metric=metrics[week], version=v),
        lambda _: next(endings),
    )
    moments = [asked.as_of for _, asked in retrains]
    for moment in moments:
        assert sum(moment - WEEK < other <= moment for other in moments) <= budget
    judged = [asked.data_version for _, asked in retrains if asked.outcome in {Outcome.PROMOTED, Outcome.REJECTED}]
    assert len(judged) == len(set(judged)), "the same data were judged twice"
