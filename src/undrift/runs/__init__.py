"""Runs: their configuration, their directory and what is written there."""

from undrift.runs.directory import RunDirectory, list_runs, open_run
from undrift.runs.events import EventLog, read_events
from undrift.runs.progress import TrainingProgress

__all__ = [
    "EventLog",
    "RunDirectory",
    "TrainingProgress",
    "list_runs",
    "open_run",
    "read_events",
]
