"""The list of commands, and how they are invoked."""

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from bittern import __version__
from bittern.cli import bench, demo, export, import_, inspect, models, recipes, run, study, train, verify
from bittern.cli._errors import UNUSABLE, say
from bittern.cli._modules import with_import

NAME = "bittern"
_START, _MAKE, _USE, _LIST = "Start here", "Make a model", "Use a model", "List what is available"

COMMANDS: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("demo", _START, demo.command),
    ("train", _MAKE, train.command),
    ("study", _MAKE, study.command),
    ("import", _MAKE, import_.command),
    ("export", _MAKE, export.command),
    ("verify", _MAKE, verify.command),
    ("run", _USE, run.command),
    ("bench", _USE, bench.command),
    ("inspect", _USE, inspect.command),
    ("models", _LIST, models.command),
    ("recipes", _LIST, recipes.command),
)
"""Name, help panel, function; in the order of the help text."""

app = typer.Typer(
    help="Binary neural networks: train in PyTorch, export to ExecuTorch, run bit-packed.",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for _name, _panel, _function in COMMANDS:
    app.command(_name, rich_help_panel=_panel)(with_import(_function))


def _print_version(requested: bool) -> None:
    if requested:
        print(f"{NAME} {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


# The base class of all usage errors. typer does not export it, only its subclass BadParameter.
_USAGE_ERROR: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def invoke(arguments: Sequence[str] | None) -> int:
    """Runs one command and returns the exit code. A usage error is reported in one line."""
    try:
        code = app(args=None if arguments is None else list(arguments), prog_name=NAME, standalone_mode=False)
    except _USAGE_ERROR as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else NAME
        message = getattr(error, "format_message", error.__str__)()
        say(f"{message.rstrip('.')} (see {command} --help)")
        return UNUSABLE
    return code if isinstance(code, int) else 0
