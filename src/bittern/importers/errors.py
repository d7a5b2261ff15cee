"""The error of a checkpoint that cannot be imported."""


class CheckpointError(ValueError):
    """A checkpoint is damaged, of no known source, or not of the given model; the message says how."""
