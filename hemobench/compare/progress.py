"""What a suite says while it works."""

from __future__ import annotations

from hemobench.progress import ConsoleReporter


class SuiteProgress(ConsoleReporter):
    """A bar for all runs and one for the work at hand; also the `Reporter` of a run in this process."""

    def say(self, text: str) -> None:
        """What a run says of its epochs: kept off the page, its history.csv has it."""
        if text.startswith("going on"):
            self.line(f"{self._name}: {text}")
