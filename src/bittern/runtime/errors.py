"""The error of a model file that cannot be used."""


class ModelFileError(ValueError):
    """The file is not a Bittern model that this version can run; the message says why, and what to do."""
