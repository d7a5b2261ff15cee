"""What the exporter raises and warns of."""


class ExportError(ValueError):
    """The model cannot be exported; the message names the module, the operator and the way out."""


class ExportWarning(UserWarning):
    """The model was exported, but not as its author will have wanted: nothing binary, or a slow float operator."""
