"""The training loop: engine, selection on validation data, checkpoints, resume."""

from wealtharena.training.job import Candidate, Listener, TrainingJob, TrainingResult
from wealtharena.training.trainer import train

__all__ = ["Candidate", "Listener", "TrainingJob", "TrainingResult", "train"]
