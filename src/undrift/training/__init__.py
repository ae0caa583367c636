"""Training: what is trained, the loop that trains it, and what lets a run survive."""

from undrift.training.checkpoint import Checkpoint, CheckpointStore
from undrift.training.distributed import World
from undrift.training.ema import PowerEMA
from undrift.training.learner import Learner, Loss, ParameterGroup, Phase, Progress
from undrift.training.learning_rate import LearningRate
from undrift.training.loop import Observer, Trainer
from undrift.training.muon import Muon
from undrift.training.optimizers import AdamWConfig, MuonConfig
from undrift.training.pacing import Pacing
from undrift.training.plan import TrainingPlan
from undrift.training.signals import StopSignals
from undrift.training.snapshots import SnapshotStore

__all__ = [
    "AdamWConfig",
    "Checkpoint",
    "CheckpointStore",
    "Learner",
    "LearningRate",
    "Loss",
    "Muon",
    "MuonConfig",
    "Observer",
    "Pacing",
    "ParameterGroup",
    "Phase",
    "PowerEMA",
    "Progress",
    "SnapshotStore",
    "StopSignals",
    "Trainer",
    "TrainingPlan",
    "World",
]
