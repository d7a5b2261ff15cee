"""The recipes: data (``recipe.py``), which ``settings.py`` lets a user override by key."""

from typing import Any

from bittern._lookup import OWN, find
from bittern.train.recipe import Recipe, Stage, Teacher

_ADAMBNN = "AdamBNN (Liu et al. 2021, arXiv:2106.11309)"
_BOP = (
    "Bop (Helwegen et al. 2019, arXiv:1906.02107), section 5.2, but for images normalized by their mean and deviation "
    "instead of x / 127.5 - 1"
)
_R2B = "Real-to-Binary (Martinez et al. 2020, arXiv:2003.11535)"
_TWO_STEP = f"two-step Adam of {_ADAMBNN}"
_NOT_RUN = "not rerun"
_NO_FIGURE = "no published figure in %"

# What the recipes of a family share.
_DIGITS: dict[str, Any] = {
    "dataset": "digits", "model": "digits-resnet", "batch_size": 64, "augmentation": "shift1", "label_smoothing": 0.1
}  # fmt: skip
_IMAGENET: dict[str, Any] = {"dataset": "images", "mixed_precision": "bf16"}
_REACTNET = {**_IMAGENET, "model": "reactnet-a", "batch_size": 256, "augmentation": "flip-lighting"}
_BIREALNET = {**_IMAGENET, "model": "bi-real-net-18", "batch_size": 512, "augmentation": "flip"}
_CIFAR10: dict[str, Any] = {"dataset": "cifar10", "mixed_precision": "bf16", "evaluate_every": 5}
_BINARYNET: dict[str, Any] = {
    "dataset": "cifar10", "model": "binarynet", "batch_size": 50, "augmentation": "crop4-flip"
}  # fmt: skip
_MOMENTUM: dict[str, Any] = {"optimizer": "sgd", "options": {"momentum": 0.9}, "schedule": "cosine", "warmup": 5}
_FALLING = "step:0.1,0.2,0.4,0.6,0.8"


def _one_step(epochs: int, lr: float, **options: Any) -> tuple[Stage]:
    return (Stage("train", "binary", epochs, lr, **options),)


def _two_steps(epochs: tuple[int, int], lr: float, decay: float, **options: Any) -> tuple[Stage, Stage]:
    """Binary activations with weight decay, then binary weights too, without."""
    return (
        Stage("step1", "binary_activations", epochs[0], lr, weight_decay=decay, **options),
        Stage("step2", "binary", epochs[1], lr, **options),
    )


_R2B_WARMUP = 5


def _r2b_steps(warmup: int) -> str:
    """The rate falls to 0.3 of itself at epochs 40, 60 and 70 of 75. A schedule is played after the warm-up."""
    return ",".join(["step:0.3", *(f"{(epoch - warmup) / (75 - warmup):.6g}" for epoch in (40, 60, 70))])


def _real_to_binary(epochs: int, schedules: tuple[str, str, str], first_teacher: Teacher) -> tuple[Stage, ...]:
    """Float, binary activations, binary: each starts from the weights of the one before, and is taught by it.

    Larq Zoo weighs labels, attention and distribution 1, 30 and 3; in the binary stage 1, 0 and 0.8. Here they are
    divided by the sum of labels and distribution, and so is the weight decay: Adam's steps stay the same.
    """
    learns: dict[str, Any] = {"distillation": 3 / 4, "attention": 30 / 4, "weight_decay": 1e-5 / 4}
    first = learns if first_teacher != "none" else {"weight_decay": 1e-5}
    second: dict[str, Any] = {"schedule": schedules[1], "warmup": _R2B_WARMUP, "teacher": "previous", **learns}
    third: dict[str, Any] = {"schedule": schedules[2], "warmup": 10, "teacher": "previous", "distillation": 4 / 9}
    return (
        Stage("float", "float", epochs, lr=1e-3, schedule=schedules[0], teacher=first_teacher, **first),
        Stage("activations", "binary_activations", epochs, lr=1e-3, **second),
        Stage("binary", "binary", epochs, lr=2e-4, **third),
    )


_RECIPES: dict[str, Recipe] = {
    row.name: row
    for row in (
        Recipe(
            "digits",
            stages=_two_steps((12, 16), 2e-3, 5e-6),
            description="binary network on scikit-learn's digits",
            source=_TWO_STEP,
            expected="98.89 % of the test digits with seed 0",
            **_DIGITS,
        ),
        Recipe(
            "digits-one-step",
            stages=_one_step(28, 2e-3),
            description="digits without the first step: as many epochs, binary weights from the start",
            source=f"the one-step rows of {_ADAMBNN}, table 1",
            expected="98.61 % of the test digits with seed 0",
            **_DIGITS,
        ),
        Recipe(
            "digits-float",
            stages=(Stage("train", "float", epochs=12, lr=2e-3, weight_decay=5e-6),),
            description="the float twin of digits",
            source="the same network with real weights and ReLU",
            expected="98.89 % of the test digits with seed 0",
            **_DIGITS,
        ),
        Recipe(
            "cifar10-quick",
            model="cifar-resnet",
            stages=_two_steps((6, 8), 2e-3, 5e-6),
            batch_size=64,
            augmentation="crop2-flip",
            description="binary network on CIFAR-10 in ten minutes on two cores",
            source=_TWO_STEP,
            expected="80.0 % of the test images of CIFAR-10 (JPEG copy)",
            **_CIFAR10,
        ),
        Recipe(
            "adambnn",
            stages=_two_steps((256, 256), 1.25e-3, 5e-6, teacher="given", decay_matrices=False),
            description="ReActNet-A on ImageNet in two steps, taught by a float network such as ResNet-34",
            source=f"{_ADAMBNN}; the rate falls by steps, not epochs, so that the last epoch learns too",
            expected=f"70.5 % (the paper; {_NOT_RUN})",
            **_REACTNET,
        ),
        Recipe(
            "adambnn-one-step",
            stages=_one_step(256, 1.25e-3, weight_decay=5e-6, decay_matrices=False, teacher="given"),
            model_options={"scale": "mean_forward"},
            description="adambnn without its first step",
            source=f"{_ADAMBNN}, table 1, where a binary ResNet-18 loses 1.3 points by it; the weights' "
            "gradient lacks the scale, as in its code, so that the decay weighs as much",
            expected=f"no published figure for ReActNet-A; below the 70.5 % of adambnn ({_NOT_RUN})",
            **_REACTNET,
        ),
        Recipe(
            "reactnet",
            stages=_two_steps((120, 120), 5e-4, 1e-5, teacher="given", decay_matrices=False),
            description="ReActNet-A on ImageNet, 600,000 iterations in each of two steps, taught by a float network",
            source="ReActNet (Liu et al. 2020, arXiv:2003.03488); unlike its code, step 2 keeps step 1's weights",
            expected=f"69.4 % (the paper; {_NOT_RUN})",
            **_REACTNET,
        ),
        Recipe(
            "birealnet",
            stages=_one_step(256, 1e-3),
            label_smoothing=0.1,
            description="Bi-Real Net-18 on ImageNet from scratch",
            source="the PyTorch code of Bi-Real Net (Liu et al. 2018, arXiv:1808.00278)",
            expected=f"56.4 % (the paper; {_NOT_RUN})",
            **_BIREALNET,
        ),
        Recipe(
            "birealnet-float",
            stages=(Stage("train", "float", epochs=100, lr=0.1, weight_decay=1e-4, **_MOMENTUM),),
            description="the float twin of birealnet, a teacher for the others",
            source="the first stage of Larq Zoo's Real-to-Binary, with momentum and weight decay",
            expected=f"{_NO_FIGURE} ({_NOT_RUN})",
            **_BIREALNET,
        ),
        Recipe(
            "larq-quicknet",
            model="quicknet",
            stages=_one_step(
                600,
                0.1,
                **_MOMENTUM,
                binary_optimizer="adam",
                binary_options={"lr": 1e-2, "clip": 1.25},
                binary_schedules={"lr": "cosine"},
            ),
            batch_size=2048,
            augmentation="flip",
            description="QuickNet on ImageNet: Adam for the binary weights, SGD with momentum for the others",
            source="Larq Zoo (Bannink et al. 2021, arXiv:2011.09398)",
            expected=f"63.3 % (Larq Zoo; {_NOT_RUN})",
            **_IMAGENET,
        ),
        Recipe(
            "r2b",
            model="real-to-binary",
            stages=_real_to_binary(75, (_r2b_steps(0), _r2b_steps(_R2B_WARMUP), "cosine"), "given"),
            batch_size=256,
            augmentation="flip",
            attention_layers=("blocks.3", "blocks.7", "blocks.11", "blocks.15"),
            description="Real-to-Binary Net on ImageNet: each stage learns from the network of the stage before, the "
            "first from a given one: a run of birealnet-float fits, others by teacher_attention_layers",
            source=f"{_R2B}, with the factors of Larq Zoo",
            expected=f"65.4 % (the paper; {_NOT_RUN})",
            **_IMAGENET,
        ),
        Recipe(
            "r2b-cifar10",
            model="real-to-binary-cifar",
            stages=_real_to_binary(60, ("cosine",) * 3, "none"),
            batch_size=128,
            augmentation="rotate15-crop4-flip",
            mixup=0.2,
            attention_layers=("stem", "blocks.1", "blocks.3", "blocks.5"),
            description="r2b on CIFAR-10, its first teacher being itself in float",
            source=f"{_R2B}, with the augmentation of its CIFAR-100 runs",
            expected=f"{_NO_FIGURE} ({_NOT_RUN})",
            **_CIFAR10,
        ),
        Recipe(
            "bop-cifar10",
            stages=_one_step(
                500,
                1e-2,
                schedule="constant",
                binary_optimizer="bop",
                binary_options={"gamma": 1e-4, "threshold": 1e-8},
                binary_schedules={"gamma": _FALLING},
            ),
            description="BinaryNet on CIFAR-10 without latent weights",
            source=_BOP,
            expected=f"91.3 % (the paper; {_NOT_RUN})",
            **_BINARYNET,
        ),
        Recipe(
            "bop-cifar10-latent",
            stages=_one_step(500, 1e-3, schedule=_FALLING, options={"clip": 1.0}),
            description="BinaryNet on CIFAR-10 with latent weights and Adam, the rival of bop-cifar10",
            source=f"{_BOP}, and without its layer-wise rates",
            expected=f"90.9 % (the paper; {_NOT_RUN})",
            **_BINARYNET,
        ),
        Recipe(
            "bamsprod-cifar10",
            stages=_one_step(500, 1e-2, binary_optimizer="bamsprod", binary_options={"lr": 0.1}),
            description="BinaryNet on CIFAR-10 with a reconstruction of BAMSProd",
            source="reconstruction after the abstract of BAMSProd (Liu et al. 2020, arXiv:2009.13799); its rate is the "
            "best and largest of the six in benchmarks/results/optimizers-tuning.csv, of 2 epochs of a slimmer network",
            expected=f"{_NO_FIGURE} for the reconstruction ({_NOT_RUN})",
            **_BINARYNET,
        ),
        Recipe(
            "images",
            model="quicknet-small",
            stages=_two_steps((20, 40), 2e-3, 5e-6),
            batch_size=64,
            augmentation="flip-jitter",
            label_smoothing=0.1,
            dataset="images",
            description="binary network on images of your own, in a folder for each class",
            source=_TWO_STEP,
            expected=f"{_NO_FIGURE}: the images decide ({_NOT_RUN})",
        ),
        Recipe(
            "new-head",
            model="quicknet",
            stages=_one_step(10, 5e-4, schedule="cosine"),
            batch_size=64,
            augmentation="flip-jitter",
            label_smoothing=0.1,
            dataset="images",
            description="imported network with a new head (--from), on images of your own",
            source="usual fine-tuning of all weights with Adam",
            expected=f"{_NO_FIGURE}: the images decide ({_NOT_RUN})",
        ),
    )
}
"""Images of ``images`` are also cropped at random (8 to 100 % of the area) while they are decoded."""


def list_recipes() -> list[str]:
    """Every name that ``get_recipe`` knows, sorted."""
    return sorted(_RECIPES)


def get_recipe(name: str) -> Recipe:
    """The recipe called ``name``; ValueError with the known names and the nearest if there is none."""
    return find("recipe", name, _RECIPES, OWN)


def register_recipe(recipe: Recipe) -> None:
    """Makes ``recipe`` known by its name, to `get_recipe` and ``bittern train``; ValueError if the name is taken."""
    if recipe.name in _RECIPES:
        raise ValueError(f"a recipe called {recipe.name!r} exists already; choose another name")
    _RECIPES[recipe.name] = recipe
