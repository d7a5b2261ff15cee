"""Closed streams, terminals that know ASCII only, and names that a terminal would obey."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bittern._text import listed, printable
from bittern.cli._errors import one_line
from bittern.cli._output import output, plain, print_facts, print_line, table
from cli.invoke import bittern, bittern_process

NAMES = ["\x1b[2J\x1b[31mcat", "a\rb", "bell\a", "\x9b31m", "right \u202eto left", "[bold]x", "[/nothing]", "\ud800"]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_moves_the_cursor(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = table(["Class"])
    rows.add_row(plain(name))
    output().print(rows)
    print_facts([("class", name)])
    print_line(f"[bold]{plain(name)}[/bold]")
    text = capsys.readouterr().out + one_line(name)
    assert text.replace("\n", "").isprintable()
    assert text.count(printable(name)) >= 3  # a message has no line breaks, not even as escapes


def test_text_that_a_terminal_shows_as_it_is_stays() -> None:
    assert printable("Käse, 猫, µs, 😀\nb") == "Käse, 猫, µs, 😀\nb"


def test_a_long_list_of_names_is_cut() -> None:
    assert listed(f"layer{i}" for i in range(3)) == "layer0, layer1, layer2"
    text = listed("x" * 10_000 for _ in range(1000))
    assert text.endswith(", and 980 more")
    assert len(text) < 5000


def test_names_in_a_run_are_shown_with_escapes(trained: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    info = json.loads((folder / "model.json").read_text())
    info["recipe"] = "\x1b]0;owned\a"
    (folder / "model.json").write_text(json.dumps(info))
    outcome = bittern("inspect", folder)
    assert r"\x1b]0;owned\x07" in outcome.out
    info["model"] = "\x1b]0;owned\a" * 100_000
    (folder / "model.json").write_text(json.dumps(info))
    error = bittern("inspect", folder).error
    assert error.isprintable()
    assert len(error) < 700


def started(*arguments: str, redirect: str = "", **variables: str) -> subprocess.CompletedProcess[bytes]:
    code = f"{sys.executable} -c 'import sys, bittern.cli; sys.exit(bittern.cli.main())'"
    command = f"{code} {' '.join(arguments)} {redirect}"
    return subprocess.run(["sh", "-c", command], env={**os.environ, **variables}, capture_output=True, check=False)


@pytest.mark.parametrize("redirect", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(redirect: str) -> None:
    done = started("recipes", redirect=redirect)
    assert (done.returncode, done.stderr) == (0, b"")
    assert started("nothing", redirect=redirect).returncode == 2


def test_a_file_is_not_opened_in_place_of_a_closed_stream(tmp_path: Path) -> None:
    code = "import os; from bittern.cli._errors import guarded; sys = __import__('sys')"
    code += f"; guarded(lambda: os.open({str(tmp_path / 'f')!r}, os.O_CREAT | os.O_WRONLY) < 3)"
    code += f"; os.write(1, b'noise'); assert os.path.getsize({str(tmp_path / 'f')!r}) == 0"
    assert subprocess.run(["sh", "-c", f'{sys.executable} -c "{code}" >&-'], check=False).returncode == 0


def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    done = started("recipes", redirect="> /dev/full")
    assert (done.returncode, done.stderr) == (1, b"bittern: No space left on device\n")


def test_a_terminal_with_ascii_only_shows_everything(tmp_path: Path) -> None:
    code = "from bittern.cli._output import print_facts, seconds_text"
    code += "; sys.argv[1:] = ['--version']; from bittern.cli._errors import guarded"
    code += "; guarded(lambda: print_facts([('time', seconds_text(2e-6)), ('class', 'K\\u00e4se')]) or 0)"
    outcome = bittern_process(before=code, PYTHONIOENCODING="ascii")
    assert outcome.err == ""
    assert "2.00 us" in outcome.out
    assert r"K\xe4se" in outcome.out
