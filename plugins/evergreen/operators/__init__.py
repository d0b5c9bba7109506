"""What does work on behalf of a task."""

from evergreen.operators.training import training_operator
from evergreen.operators.training_process import TrainingProcessOperator

__all__ = ["TrainingProcessOperator", "training_operator"]
