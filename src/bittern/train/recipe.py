"""What a recipe is: data that says what to train, on what, by which optimizers and for how long."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch

from bittern._lookup import find
from bittern.data import AUGMENTATIONS, get_augmentation, get_dataset
from bittern.models import Precision, get_model
from bittern.models.precision import check_precision
from bittern.optim import get_optimizer, get_schedule

MIXED_PRECISIONS = {"no": torch.float32, "bf16": torch.bfloat16, "double": torch.float64}
"""``Recipe.mixed_precision`` -> type of the forward passes in training. Weights are float32, or float64 with it."""

Teacher = Literal["none", "given", "previous"]
Weights = Literal["previous", "random"]


@dataclass(frozen=True)
class Stage:
    """A part of the training with its own optimizers. It starts from the weights of the stage before.

    Args:
        lr: initial learning rate. ``schedule`` (``bittern.optim.SCHEDULES``) multiplies it step by step, after
            ``warmup`` epochs in which it rises linearly from 0.
        weight_decay: L2, of latent weights, real filters and matrices. AdamBNN's code also decays shifts
            (``decay_shifts``), and not matrices (``decay_matrices``). A negative one, as in its table 1, drives weights
            away from 0.
        optimizer: of every parameter (``bittern.optim.list_optimizers``); ``options`` are its other keywords.
        binary_optimizer: of the binary weights; "" leaves them to ``optimizer``. ``binary_options`` are its keywords,
            such as ``gamma``, and ``binary_schedules`` multiply those.
        weights: ``"random"`` discards the weights of the stage before, which then only serves as a teacher.
        teacher: whose distribution to learn: the network that the caller gives, or that of the stage before.
        distillation: weight of the teacher's distribution in the loss; the labels have the rest, 1 - distillation.
        attention: weight of ``attention_loss`` between student and teacher, at ``Recipe.attention_layers``.
    """

    name: str
    precision: Precision
    epochs: int
    lr: float
    weight_decay: float = 0.0
    decay_shifts: bool = False
    decay_matrices: bool = True
    optimizer: str = "adam"
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: str = "linear"
    warmup: float = 0.0
    binary_optimizer: str = ""
    binary_options: Mapping[str, Any] = field(default_factory=dict)
    binary_schedules: Mapping[str, str] = field(default_factory=dict)
    weights: Weights = "previous"
    teacher: Teacher = "none"
    distillation: float = 1.0
    attention: float = 0.0

    def __post_init__(self) -> None:
        check_precision(self.precision)
        self._check(self.epochs >= 1, "epochs", "at least 1")
        self._check(0 < self.lr < float("inf"), "lr", "above 0")
        self._check(abs(self.weight_decay) < float("inf"), "weight_decay", "finite")
        self._check(0 <= self.warmup < self.epochs, "warmup", f"at least 0 and below the {self.epochs} epochs")
        self._check(self.weights in get_args(Weights), "weights", f"one of {', '.join(get_args(Weights))}")
        self._check(self.teacher in get_args(Teacher), "teacher", f"one of {', '.join(get_args(Teacher))}")
        self._check(0 <= self.distillation <= 1, "distillation", "in [0, 1]")
        self._check(0 <= self.attention < float("inf"), "attention", "at least 0")
        for key in ("lr", "weight_decay"):
            if key in self.options:
                raise ValueError(f"{self.name}.options must not have {key!r}: it is a setting of the stage itself")
        get_schedule(self.schedule)
        for schedule in self.binary_schedules.values():
            get_schedule(schedule)
        latent_free = get_optimizer(self.optimizer).latent_free
        self._check(not latent_free, "optimizer", "one that takes real weights (use this one as binary_optimizer)")
        if self.binary_optimizer:
            get_optimizer(self.binary_optimizer)
            self._check(self.precision == "binary", "precision", f"'binary' for {self.binary_optimizer}")

    def _check(self, holds: bool, key: str, rule: str) -> None:
        if not holds:
            raise ValueError(f"{self.name}.{key} must be {rule}, got {getattr(self, key)!r}")


@dataclass(frozen=True)
class Recipe:
    """One row of the list.

    Args:
        batch_size: images of an optimizer step, over all processes, in ``accumulate`` passes of equal size.
        image_size: height and width of the images, for data sets of images of any size; 0 for the data set's default.
        mixup: alpha of mixup (``bittern.data.mixup``); 0 for none.
        cutmix: alpha of cutmix (``bittern.data.cutmix``), instead of mixup; 0 for none.
        ema: decay of an exponential moving average of the weights, which is then evaluated and kept; 0 for none.
        compile: trains through ``torch.compile``.
        attention_layers: modules of student and teacher whose features ``Stage.attention`` compares.
        teacher_attention_layers: the corresponding modules of a given teacher, in order; empty for the same names.
        evaluate_every: epochs between evaluations on the test split. They choose nothing: the last weights are kept.
        expected: the result of a run, and who measured it.
    """

    name: str
    dataset: str
    model: str
    stages: tuple[Stage, ...]
    batch_size: int
    augmentation: str
    description: str
    source: str
    expected: str
    image_size: int = 0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mixed_precision: str = "no"
    accumulate: int = 1
    ema: float = 0.0
    compile: bool = False
    evaluate_every: int = 1
    model_options: Mapping[str, Any] = field(default_factory=dict)
    attention_layers: tuple[str, ...] = ()
    teacher_attention_layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        get_dataset(self.dataset)
        get_model(self.model)
        if get_augmentation(self.augmentation).crops and get_dataset(self.dataset).streamed:
            fitting = ", ".join(name for name, row in AUGMENTATIONS.items() if not row.crops)
            raise ValueError(
                f"augmentation must not crop: images of {self.dataset!r} are random crops already; got "
                f"{self.augmentation!r}, choose one of {fitting}"
            )
        find("mixed_precision", self.mixed_precision, MIXED_PRECISIONS)
        if not self.stages:
            raise ValueError(f"recipe {self.name!r} needs at least one stage")
        for name in ("batch_size", "evaluate_every", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("label_smoothing", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        for name in ("mixup", "cutmix"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.mixup and self.cutmix:
            raise ValueError(
                f"mixup or cutmix must be 0, because a batch is mixed once, got {self.mixup} and {self.cutmix}"
            )
        if self.teacher_attention_layers and len(self.teacher_attention_layers) != len(self.attention_layers):
            raise ValueError(
                f"teacher_attention_layers must be empty or as many as the {len(self.attention_layers)} "
                f"attention_layers, got {self.teacher_attention_layers}"
            )
        if self.stages[0].teacher == "previous":
            raise ValueError(f"{self.stages[0].name}.teacher must not be 'previous': no stage comes before it")
        for stage in self.stages:
            if stage.attention and (stage.teacher == "none" or not self.attention_layers):
                raise ValueError(
                    f"{stage.name}.attention must be 0 without a teacher or attention_layers to compare, got "
                    f"{stage.attention} with teacher {stage.teacher!r} and attention_layers {self.attention_layers}"
                )

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def command(self) -> str:
        """How to train it from the command line."""
        data = " --data DIR" if get_dataset(self.dataset).needs_folder else ""
        teacher = " --teacher RUN" if self.needs_teacher else ""
        return f"bittern train {self.name}{data}{teacher} --out RUN"

    @property
    def needs_teacher(self) -> bool:
        """Whether a stage learns from a network that the caller must give."""
        return any(stage.teacher == "given" for stage in self.stages)
