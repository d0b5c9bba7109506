"""The gate's verdict: every check with its value and its bound."""

from pydantic import NonNegativeInt

from include.contracts.frozen import Frozen, Utc


class Check(Frozen):
    """One check of the gate.

    Attributes:
        value: What was measured, in words a person reads.
        bound: What it had to be.
    """

    name: str
    passed: bool
    value: str
    bound: str


class Interval(Frozen):
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


class GateVerdict(Frozen):
    """What the gate found about one challenger.

    Attributes:
        champion_version: None where there was no champion.
        champion_revision: Revision of the champion row that the verdict was made against.
        metric: Challenger's deciding metric on the fresh rows.
        champion_metric: Champion's on the same rows.
        gain: Challenger minus champion, paired.
        not_checked: What this gate does not look at, said plainly.
    """

    use_case: str
    request: str
    as_of: Utc
    manifest_uri: str
    model_digest: str
    champion_version: int | None
    champion_revision: NonNegativeInt
    rows: NonNegativeInt
    fresh_from: Utc
    fresh_to: Utc
    metric_name: str
    metric: Interval
    champion_metric: Interval | None
    gain: Interval | None
    checks: tuple[Check, ...]
    accepted: bool
    not_checked: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """One line: who against whom, on what, and how it ended."""
        against = f"champion v{self.champion_version}" if self.champion_version else "absolute floors (first model)"
        failed = sum(not check.passed for check in self.checks)
        outcome = "ACCEPTED" if self.accepted else f"REJECTED ({failed} of {len(self.checks)} checks failed)"
        period = f"{self.fresh_from:%Y-%m-%d}..{self.fresh_to:%Y-%m-%d}"
        return f"{self.use_case} challenger against {against} on {self.rows:,} labelled rows of {period}  {outcome}"

    def text(self) -> str:
        """The verdict as people read it."""
        lines = [self.title]
        lines += [f"  {'✓' if c.passed else '✗'} {c.name:<14} {c.value:<44} {c.bound}" for c in self.checks]
        if self.not_checked:
            lines.append(f"  not checked: {', '.join(self.not_checked)}")
        return "\n".join(lines)


class Champion(Frozen):
    """The champion row of the ledger.

    Attributes:
        version: Model version in the MLflow registry.
        revision: Count of changes of the row; compare-and-swap compares it.
        metric: Deciding metric in the evaluation that made it champion.
        previous: Version that it replaced; rollback goes there.
        since: `as_of` of the promotion.
        reason: Why it became champion where no accepted verdict says so: a rollback, a person's override.
    """

    use_case: str
    version: int
    revision: NonNegativeInt
    model_uri: str
    model_digest: str
    manifest_uri: str
    metric: float
    evaluation: str
    previous: int | None = None
    since: Utc
    reason: str = ""
