"""Errors whose class says what a retry would do, and whose text says what a person should do."""


class EvergreenError(Exception):
    """An error with the three lines that matter.

    Args:
        component: The part that failed, such as `validation`.
        cause: What was seen, with the values.
        next_step: What the reader can do now.
    """

    retryable = False

    def __init__(self, component: str, cause: str, next_step: str) -> None:
        super().__init__(component, cause, next_step)
        self.component = component
        self.cause = cause
        self.next_step = next_step

    def __str__(self) -> str:
        return (
            f"{type(self).__name__}\n"
            f"  component  {self.component}\n"
            f"  cause      {self.cause}\n"
            f"  next step  {self.next_step}"
        )


class InfraError(EvergreenError):
    """A machine, network or service failed; trying again can help."""

    retryable = True


class DataError(EvergreenError):
    """The data are wrong; trying again with the same data cannot help."""


class ModelError(EvergreenError):
    """A model or its files are wrong: digest, signature, training."""


class PolicyError(EvergreenError):
    """A request or a declaration breaks a rule."""
