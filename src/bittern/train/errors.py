"""What can go wrong in training, apart from arguments that are wrong at once (ValueError)."""


class RunError(ValueError):
    """A run folder cannot be read or written as asked."""


class TrainingError(RuntimeError):
    """Training stopped: a loss, gradient or weight that is not finite, or a disk that takes no more."""


class TrainingInterrupted(TrainingError):  # noqa: N818 - it is no error
    """Training was told to stop, saved a checkpoint and can be resumed."""
