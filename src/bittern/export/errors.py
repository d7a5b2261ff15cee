"""The exporter's error and warning."""


class ExportError(ValueError):
    """The model cannot be exported; the message names the module, the operator and the way out."""


class ExportWarning(UserWarning):
    """The model was exported, but probably not as intended: nothing is binary, or a float operator runs slowly."""
