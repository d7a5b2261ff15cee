import json
import math

import pytest

from bittern.cli._output import (
    bytes_text,
    count_text,
    millions_text,
    output,
    percent_text,
    print_facts,
    print_json,
    seconds_text,
    table,
)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (999.4, "999 B"),
        (1000, "1.00 kB"),
        (132200, "132 kB"),
        (1966952, "1.97 MB"),
        (3e9, "3.00 GB"),
    ],
)
def test_bytes(size: float, text: str) -> None:
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ns"),
        (455e-9, "455 ns"),
        (24.14e-6, "24.1 µs"),
        (0.9999e-3, "1.00 ms"),
        (1.43e-3, "1.43 ms"),
        (12.5, "12.5 s"),
        (99.96, "1 min 40 s"),
        (125, "2 min 5 s"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_counts_and_shares() -> None:
    assert count_text(13969408) == "13,969,408"
    assert percent_text(0.97771) == "97.77 %"
    assert [millions_text(n) for n in (0, 12, 36864, 2359296, 10**10)] == ["", "12", "36.9 k", "2.36 M", "10.0 G"]


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": math.nan, "b": [math.inf, 1.5], "c": {"d": ()}, 1: "é"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": {"d": []}, "1": "é"}


def test_a_table_in_a_file_is_not_wrapped_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    rows = table(["Module", ">Size"])
    rows.add_row("m" * 90, "1")
    output().print(rows)
    assert "m" * 90 in capsys.readouterr().out


def test_facts_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("name", "net"), ("source", "")])
    assert capsys.readouterr().out.split() == ["name", "net"]
