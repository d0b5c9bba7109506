"""What Alertmanager says, in its webhook's format 4 (https://prometheus.io/docs/alerting/latest/configuration)."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from include.alerts.message import Message, Severity
from include.contracts.errors import DataError
from include.contracts.frozen import to_utc

NAME = "alertmanager"
"""The name under which the ledger keeps what Alertmanager said: it is about the stack, not about one use case."""

LOOP = "loop"
"""Value of the label `told_by` on alerts whose facts the loop tells itself, with the details."""

Text = Annotated[str, Field(max_length=4_000)]
Labels = Annotated[dict[str, Text], Field(max_length=64)]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Alert(_Told):
    """One alert; Alertmanager's further keys are not needed."""

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels = Field(default_factory=dict)
    startsAt: AwareDatetime  # noqa: N815 - Alertmanager's name
    fingerprint: str = Field(pattern=r"^[0-9a-f]{1,32}$")

    def message(self) -> Message:
        """The alert as people read it; an alert that ends is a fact of its own."""
        began = to_utc(self.startsAt)
        name, about = self.labels.get("alertname", "alert"), self.labels.get("use_case", "")
        severity = Severity.BAD if self.labels.get("severity") == "critical" else Severity.WORRYING
        if self.status == "resolved":
            severity = Severity.GOOD
        title = f"{about + ': ' if about else ''}{self.annotations.get('summary', name)} ({self.status})"
        lines = [self.annotations.get("description", ""), self.annotations.get("runbook_url", "")]
        text = "\n".join([*(line for line in lines if line), f"{name}, since {began:%Y-%m-%d %H:%M} UTC"])
        return Message(f"{self.fingerprint}/{began.isoformat()}/{self.status}", began, severity, title, text)


class Notification(_Told):
    """The body of one call."""

    version: Literal["4"]
    alerts: tuple[Alert, ...] = Field(max_length=500)

    def messages(self) -> list[Message]:
        """What is to be said of it."""
        return [alert.message() for alert in self.alerts if alert.labels.get("told_by") != LOOP]

    def use_cases(self) -> list[str]:
        """Use cases whose loop has something to tell, said or not."""
        told = {alert.labels.get("use_case", "") for alert in self.alerts if alert.labels.get("told_by") == LOOP}
        return sorted(told - {""})


def heard(body: bytes) -> Notification:
    """One call of Alertmanager.

    Raises:
        DataError: If it is not what Alertmanager writes.
    """
    try:
        found = Notification.model_validate_json(body)
        found.messages()
    except (ValidationError, OverflowError) as error:  # a time at the edge of the calendar overflows in UTC
        lines = error.errors(include_url=False, include_input=False) if isinstance(error, ValidationError) else []
        cause = f"{lines[0]['loc']}: {lines[0]['msg']}" if lines else str(error)
        cause = f"not a webhook call of format 4: {cause[:300]}"
        raise DataError("alerts", cause, "send what Alertmanager sends") from error
    return found
