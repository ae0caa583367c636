"""Long jobs from start to end: training, and the preview of one."""

from undrift.workflows.preview import Preview, resolve_config
from undrift.workflows.train import Run, train_with

__all__ = ["Preview", "Run", "resolve_config", "train_with"]
