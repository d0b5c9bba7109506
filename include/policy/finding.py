"""What one rule of the policy found."""

from dataclasses import dataclass

from include.contracts.decision import Rule


@dataclass(frozen=True)
class Finding:
    """A rule's finding.

    Attributes:
        name: The rule in one or two words.
        fires: It speaks for a retrain (a cause) or against one (a limit).
        text: The finding with its numbers.
        rule: Cause that it stands for; None for a limit.
        always: A limit that is worth saying even where nothing asks for a retrain.
        spares_first: A limit that does not hold the first champion back.
        speaks: A cause whose finding belongs into the reason of a quiet decision.
    """

    name: str
    fires: bool
    text: str
    rule: Rule | None = None
    always: bool = False
    spares_first: bool = False
    speaks: bool = True

    def concerns(self, cause: "Finding | None") -> bool:
        """Whether this limit stands in the way of `cause`."""
        if cause is None:
            return self.always
        return not (self.spares_first and cause.rule is Rule.FIRST_CHAMPION)

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"
