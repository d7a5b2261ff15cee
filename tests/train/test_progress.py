import io
from pathlib import Path

import pytest
from rich.console import Console

from bittern.train import RichReporter, progress
from train.tiny import train


def test_the_rich_reporter_prints_a_line_per_epoch_with_loss_and_accuracies(tmp_path: Path) -> None:
    text = io.StringIO()
    train(tmp_path / "run", epochs=1, progress=RichReporter(Console(file=text, width=120)))
    lines = [line for line in text.getvalue().splitlines() if line.strip()]
    assert lines[0].startswith("step1 epoch 1: loss ")
    assert ", accuracy " in lines[0]
    assert ", test " in lines[0]
    assert any(line.startswith("step2 epoch 1") for line in lines)


def test_on_a_terminal_it_shows_loss_accuracy_flips_speed_and_time_left() -> None:
    text = io.StringIO()
    with RichReporter(Console(file=text, width=160, force_terminal=True)) as reporter:
        reporter.data("decoding train", 5, 10)
        figures = {"loss": 2.5, "accuracy": 0.125, "flip_rate": None, "steps_per_second": 7.0, "waiting": 0.0}
        reporter.step(1, 20, figures)
        reporter.step(2, 20, {**figures, "loss": 2.25, "accuracy": 0.25, "flip_rate": 4e-3, "waiting": 0.31})
    shown = text.getvalue()
    assert "decoding train" in shown
    assert "loss 2.250" in shown
    assert "accuracy 25.0%" in shown
    assert "flips 4.0e-03" in shown
    assert "7.0 steps/s" in shown
    assert "31% waiting for data" in shown
    assert "-:--:--" in shown or "0:00:" in shown


def test_elsewhere_than_on_a_terminal_a_line_every_minute_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    now, text = [0.0], io.StringIO()
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    figures = {"loss": 2.5, "accuracy": 0.125, "flip_rate": 4e-3, "steps_per_second": 0.1, "waiting": 0.31}
    with RichReporter(Console(file=text, width=40)) as reporter:
        reporter.data("listing train", 5, 10)
        for step in range(1, 14):
            now[0] = 10.0 * step
            reporter.step(100 + step, 1000, {**figures, "loss": float(step)})
    assert text.getvalue().splitlines() == [
        f"training {100 + step}/1000  loss {step}.000  accuracy 12.5%  flips 4.0e-03  0.1 steps/s  "
        f"31% waiting for data  {left} left"
        for step, left in ((6, "2:29:00"), (12, "2:28:00"))
    ]


def test_a_first_step_that_took_long_says_no_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now, text = [0.0], io.StringIO()
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    reporter = RichReporter(Console(file=text))
    now[0] = 100.0
    reporter.data("listing train", 5, 10)
    assert text.getvalue() == "listing train 5/10\n"


def test_no_reporter_means_no_output(tmp_path: Path, capfd: object) -> None:
    train(tmp_path / "run", epochs=1)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
