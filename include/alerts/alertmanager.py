"""What Alertmanager says, in its webhook's format 4 (https://prometheus.io/docs/alerting/latest/configuration)."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from include.alerts.message import Message, Severity
from include.contracts.errors import DataError
from include.contracts.frozen import to_utc

NAME = "alertmanager"
"""The name under which the ledger keeps what Alertmanager said: it is about the stack, not about one use case."""

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


def messages(body: bytes) -> list[Message]:
    """The alerts of one call.

    Raises:
        DataError: If it is not what Alertmanager writes.
    """
    try:
        found = Notification.model_validate_json(body)
        return [alert.message() for alert in found.alerts]
    except (ValidationError, OverflowError) as error:  # a time at the edge of the calendar overflows in UTC
        lines = error.errors(include_url=False, include_input=False) if isinstance(error, ValidationError) else []
        cause = f"{lines[0]['loc']}: {lines[0]['msg']}" if lines else str(error)
        raise DataError(
            "alerts", f"not a webhook call of format 4: {cause[:300]}", "send what Alertmanager sends"
        ) from error
