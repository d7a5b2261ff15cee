"""Rows about training: how long steps take, and what optimizers and their settings lead to."""

from dataclasses import dataclass

from benchmarks.rows.csv_files import Stamped


@dataclass(frozen=True)
class StepRow(Stamped):
    """Milliseconds of one optimizer's steps: median and quartiles. ``state_bytes``: all that it keeps."""

    optimizer: str
    parameters: int
    threads: int
    median_ms: float
    low_ms: float
    high_ms: float
    state_bytes: int
    rounds: int
    torch: str


@dataclass(frozen=True)
class TrainingRow(Stamped):
    """Milliseconds of a training step: medians, and quartiles of the binary network's. 0 where nothing was compiled."""

    model: str
    batch: int
    image_size: int
    binary_ms: float
    low_ms: float
    high_ms: float
    float_ms: float
    compiled_binary_ms: float
    compiled_float_ms: float
    rounds: int
    torch: str


@dataclass(frozen=True)
class EpochRow(Stamped):
    """An epoch of a run of the optimizers' comparison. ``setting``: what was trained, as JSON.

    ``flip_rate``: mean share of the binary weights that flip in a step; -1 if none are binary.
    """

    network: str
    scale: str
    contender: str
    setting: str
    seed: int
    stage: str
    epoch: int
    epochs: int
    step: int
    loss: float
    accuracy: float
    test_accuracy: float
    flip_rate: float
    seconds: float
    torch: str
    bittern: str


@dataclass(frozen=True)
class TuningRow(Stamped):
    """Accuracy of a candidate on held-out images after a few epochs. ``setting``: JSON."""

    network: str
    scale: str
    contender: str
    candidate: int
    setting: str
    epochs: int
    accuracy: float


@dataclass(frozen=True)
class FigureRow(Stamped):
    """One figure of one run of the study of AdamBNN.

    ``below_rival``: share of the first binary layer's filters that move less than the least of the rival's, after the
    first epoch; ``below_rival_all``: the same over all layers, each filter beside those of its own layer.
    """

    run: str
    seed: int
    figure: str
    value: float
    torch: str


@dataclass(frozen=True)
class CurveRow(Stamped):
    """A point of a curve of one run of the study of AdamBNN.

    ``curve``: "pi", Bop's flip rate of the last layer, averaged over the steps since the previous point, over the step;
    "saturation" of the first sign over the step; "latent", the share of all latent weights within half a bin of ``x``
    at the end; "update_cam" of the first binary layer after the first epoch, its filters ``x`` in order of size.
    """

    run: str
    seed: int
    curve: str
    x: float
    y: float
