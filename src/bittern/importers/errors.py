"""What can be wrong with a checkpoint of others."""


class CheckpointError(ValueError):
    """A checkpoint cannot be read, is of no known source, or is not of the model named; the message lists why."""
