import io
from pathlib import Path

from rich.console import Console

from bittern.train import RichReporter
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


def test_no_reporter_means_no_output(tmp_path: Path, capfd: object) -> None:
    train(tmp_path / "run", epochs=1)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
