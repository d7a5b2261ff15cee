"""What can be wrong with a model file."""


class ModelFileError(ValueError):
    """The file is not a Bittern model that this version can run. The message says why, and what to do about it."""
