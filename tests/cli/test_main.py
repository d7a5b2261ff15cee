"""What holds for every command: help, version, usage errors, missing packages, exit codes."""

import errno
import time
import warnings

import pytest

from bittern import __version__
from bittern.cli._app import COMMANDS
from bittern.cli._errors import FAILED, INTERRUPTED, UNUSABLE, FailedError, guarded, say
from cli.invoke import Outcome, bittern, bittern_process, without

NAMES = [name for name, _, _ in COMMANDS]


def test_help_lists_every_command() -> None:
    outcome = bittern("--help")
    assert outcome.code == 0
    assert all(name in outcome.out for name in NAMES)


def test_no_command_gives_the_help() -> None:
    assert bittern() == bittern("--help")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_a_sentence_on_each_option(name: str) -> None:
    outcome = bittern(name, "--help")
    assert outcome.code == 0
    assert f"bittern {name}" in outcome.out
    assert "--json" in outcome.out


def test_help_is_quick() -> None:
    before = time.perf_counter()
    code = "import atexit; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr))"
    outcome = bittern_process("--help", before=code)
    assert outcome.err == "False\n"
    # Measured at 0.16 s; other work on the machine may slow it down.
    assert time.perf_counter() - before < 2


def test_version() -> None:
    assert bittern("--version") == Outcome(0, f"bittern {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'"),
        (["train"], "name a recipe to train"),
        (["models", "--bogus"], "No such option: --bogus"),
        (["run", "model.pte", "image.png", "--top", "0"], "Invalid value for '--top'"),
        (["bench", "model.pte", "--threads", "many"], "Invalid value for '--threads'"),
        (["run", "model.pte"], "name either images to classify or a data set"),
        (["run", "model.pte", "image.png", "--data", "digits"], "name either images to classify or a data set"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], message: str) -> None:
    outcome = bittern(*arguments)
    assert outcome.code == UNUSABLE
    assert message in outcome.error
    assert "--help" in outcome.error


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("typer", ["--help"], "cli"),
        ("rich", ["models"], "cli"),
        ("torch", ["models"], "train"),
        ("safetensors", ["inspect", "."], "train"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(package: str, arguments: list[str], extra: str) -> None:
    outcome = bittern_process(*arguments, before=without(package))
    assert outcome.code == UNUSABLE
    assert (
        outcome.error == f"this needs {package}, which is not installed: pip install '.[{extra}]' in Bittern's folder"
    )


@pytest.mark.parametrize("part", ["nn", "ops", "optim", "models", "data", "train", "study", "export", "importers"])
def test_a_part_that_needs_torch_says_what_to_install(part: str) -> None:
    outcome = bittern_process(before=f"{without('torch')}\nimport bittern.{part}")
    assert outcome.err.splitlines()[-1].endswith("needs PyTorch: pip install '.[train]' in Bittern's folder")


def test_a_shell_completes_commands() -> None:
    variables = {"_BITTERN_COMPLETE": "complete_bash", "COMP_WORDS": "bittern re", "COMP_CWORD": "1"}
    assert bittern_process(**variables).out == "recipes\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("no such\n  thing"), UNUSABLE, "no such thing"),
        (FailedError("a bit differs"), FAILED, "a bit differs"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.pte"), UNUSABLE, "x.pte: No such file"),
        (OSError(errno.ENOSPC, "No space left on device", "x.pte"), FAILED, "x.pte: No space left on device"),
        (KeyboardInterrupt(), INTERRUPTED, "stopped"),
        (ImportError("the engine is not built here"), UNUSABLE, "the engine is not built here"),
        (ValueError("long " * 1000), UNUSABLE, "BITTERN_TRACEBACK=1 shows all"),
    ],
)
def test_exit_codes(error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> int:
        raise error

    assert guarded(run) == code
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("bittern: ")
    assert line in said
    assert len(said) < 700


def test_errors_that_only_a_bug_can_cause_keep_their_traceback() -> None:
    def run() -> int:
        raise AssertionError

    with pytest.raises(AssertionError):
        guarded(run)


def test_a_traceback_is_printed_on_request(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> int:
        raise ValueError("wrong")

    monkeypatch.setenv("BITTERN_TRACEBACK", "1")
    guarded(run)
    assert "Traceback" in capsys.readouterr().err


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> int:
        warnings.simplefilter("always")
        warnings.warn("nothing is binary", UserWarning, stacklevel=1)
        return 0

    assert guarded(run) == 0
    assert capsys.readouterr().err == "bittern: warning: nothing is binary\n"


def test_a_closed_pipe_is_not_an_error() -> None:
    outcome = bittern_process("models", "--json", before="import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1)")
    assert "Traceback" not in outcome.err
    assert "Exception" not in outcome.err


def test_say_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("one\ntwo")
    assert capsys.readouterr() == ("", "bittern: one two\n")
