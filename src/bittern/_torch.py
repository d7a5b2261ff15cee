"""Imported first by every part that needs PyTorch, so that the error of a machine without it says what to install."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "this part of Bittern needs PyTorch: pip install '.[train]' in Bittern's folder", name="torch"
    ) from error
