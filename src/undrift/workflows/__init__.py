"""Long jobs from start to end: training, and the preview of one."""

from undrift.workflows.planning import Start, find_start
from undrift.workflows.preview import Preview, resolve_config
from undrift.workflows.train import Run, train_run

__all__ = ["Preview", "Run", "Start", "find_start", "resolve_config", "train_run"]
