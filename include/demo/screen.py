"""What the demo prints: one line a finished step, and a moving line for what goes on now."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

WIDTH = 150
"""Columns of the table in a file or a pipe."""


class Screen:
    """Lines that stay and one that moves (only on a terminal; a log file gets the lines alone).

    Args:
        months: Number of months that the demo lives through.
    """

    def __init__(self, months: int) -> None:
        wide = None if sys.stdout.isatty() else WIDTH
        self.console = Console(highlight=False, soft_wrap=True, width=wide)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed}/{task.total} months"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("", total=months)
        self.started = time.monotonic()

    def __enter__(self) -> "Screen":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def line(self, subject: str, text: str, style: str = "") -> None:
        """A finished step.

        Args:
            subject: Left column, such as the month; empty continues the one above.
            text: What happened.
            style: Rich style of the text.
        """
        self.console.print(f"  [bold]{subject:<12}[/bold] " + (f"[{style}]{text}[/{style}]" if style else text))

    def now(self, text: str) -> None:
        """What goes on at this moment."""
        self.progress.update(self.task, description=text)

    def month_done(self) -> None:
        """Move the bar by one month."""
        self.progress.advance(self.task)
