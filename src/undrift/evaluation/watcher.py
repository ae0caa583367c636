"""Who is told how an evaluation goes on."""

from __future__ import annotations

from undrift.evaluation.drawing import OnDrawn


class Watcher:
    """Told how an evaluation goes on; raises to stop it. This one says nothing."""

    def plan(self, lines: list[str]) -> None:
        """What is about to be done."""

    def fitting(self, done: int, total: int, seconds: float) -> None:
        """Told while a feature network learns: images seen, in all, and seconds for the rest."""

    def features(self, count: int, seconds: float) -> None:
        """Told that features of up to ``count`` images are to be computed, in about ``seconds``."""

    def drawn(self, name: str) -> OnDrawn | None:
        """Told of the samples of ``name``."""

    def metric(self, name: str, done: int, total: int) -> None:
        """Told before each metric."""
