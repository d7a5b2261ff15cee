"""``--import MODULE``: models, recipes and data sets of one's own, on every command."""

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

_PARAMETER = "import_"
_IMPORTED: list[str] = []


def with_import(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with the option ``--import``, which it need not know of."""
    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter(
        _PARAMETER,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            list[str] | None,
            typer.Option(
                "--import", metavar="MODULE", help="Import a module that registers models, recipes or data of your own."
            ),
        ],
    )

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        _IMPORTED.clear()
        import_modules(arguments.pop(_PARAMETER) or ())
        command(**arguments)

    parameters = [*signature.parameters.values(), option]
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def import_modules(names: Sequence[str]) -> None:
    """Imports modules by name, from the current folder too; ValueError names one that cannot be imported."""
    folder = os.getcwd()
    if names and folder not in sys.path:
        sys.path.insert(0, folder)
    for name in names:
        if name.endswith(".py") or os.sep in name:
            raise ValueError(f"--import takes the name of a module, such as {_module_name(name)}, got {name}")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise
            raise ValueError(
                f"there is no module {name}: go to the folder of {name.split('.')[0]}.py, or install it"
            ) from None
        except Exception as error:
            raise ValueError(f"importing {name} failed: {type(error).__name__}: {error}") from error
        if name not in _IMPORTED:
            _IMPORTED.append(name)


def imported() -> tuple[str, ...]:
    """What this command was told to import."""
    return tuple(_IMPORTED)


def _module_name(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
