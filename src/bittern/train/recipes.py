"""The recipes: data (``recipe.py``), which ``settings.py`` lets a user override by key."""

from typing import Any

from bittern._lookup import find
from bittern.train.recipe import Recipe, Stage, Teacher

_ADAMBNN = "AdamBNN (Liu et al. 2021, arXiv:2106.11309)"
_TWO_STEP = f"two-step Adam of {_ADAMBNN}"
_NOT_RUN = "not rerun"


_BOP = (
    "Bop (Helwegen et al. 2019, arXiv:1906.02107), section 5.2, but for images normalized by their mean and deviation "
    "instead of x / 127.5 - 1"
)
_R2B = "Real-to-Binary (Martinez et al. 2020, arXiv:2003.11535)"
_R2B_WARMUP = 5
_ENDS_OF_STAGES = ("blocks.3", "blocks.7", "blocks.11", "blocks.15")


def _r2b_steps(warmup: int) -> str:
    """The rate falls to 0.3 of itself at epochs 40, 60 and 70 of 75. A schedule is played after the warm-up."""
    return ",".join(["step:0.3", *(f"{(epoch - warmup) / (75 - warmup):.6g}" for epoch in (40, 60, 70))])


def _real_to_binary(epochs: int, schedules: tuple[str, str, str], first_teacher: Teacher) -> tuple[Stage, ...]:
    """Float, binary activations, binary: each with the weights of the one before, and taught by it.

    Larq Zoo weighs labels, attention and distribution 1, 30 and 3; the binary network 1, 0 and 0.8. Here they are
    divided by the sum of labels and distribution, and so is the weight decay: Adam's steps stay the same.
    """
    taught: dict[str, Any] = {"distillation": 3 / 4, "attention": 30 / 4, "weight_decay": 1e-5 / 4}
    first = taught if first_teacher != "none" else {"weight_decay": 1e-5}
    return (
        Stage("float", "float", epochs, 1e-3, schedule=schedules[0], teacher=first_teacher, **first),
        Stage(
            "activations",
            "binary_activations",
            epochs,
            lr=1e-3,
            schedule=schedules[1],
            warmup=_R2B_WARMUP,
            teacher="previous",
            **taught,
        ),
        Stage(
            "binary",
            "binary",
            epochs,
            lr=2e-4,
            schedule=schedules[2],
            warmup=10,
            teacher="previous",
            distillation=4 / 9,
        ),
    )


def _two_steps(epochs: int, lr: float, decay: float, **options: Any) -> tuple[Stage, Stage]:
    """Binary activations with weight decay, then binary weights too, without."""
    return (
        Stage("step1", "binary_activations", epochs=epochs, lr=lr, weight_decay=decay, **options),
        Stage("step2", "binary", epochs=epochs, lr=lr, **options),
    )


def _binarynet_cifar10(name: str, stage: Stage, description: str, source: str, expected: str) -> Recipe:
    return Recipe(
        name=name,
        dataset="cifar10",
        model="binarynet",
        stages=(stage,),
        batch_size=50,
        augmentation="crop4-flip",
        description=description,
        source=source,
        expected=expected,
    )


_RECIPES: dict[str, Recipe] = {
    row.name: row
    for row in (
        Recipe(
            name="digits",
            dataset="digits",
            model="digits-resnet",
            stages=(
                Stage("step1", "binary_activations", epochs=12, lr=2e-3, weight_decay=5e-6),
                Stage("step2", "binary", epochs=16, lr=2e-3),
            ),
            batch_size=64,
            augmentation="shift1",
            label_smoothing=0.1,
            description="binary network on scikit-learn's digits",
            source=_TWO_STEP,
            expected="98.0 to 99.4 % of the test digits over five seeds",
        ),
        Recipe(
            name="digits-one-step",
            dataset="digits",
            model="digits-resnet",
            stages=(Stage("train", "binary", epochs=28, lr=2e-3),),
            batch_size=64,
            augmentation="shift1",
            label_smoothing=0.1,
            description="digits without the first step: as many epochs, binary weights from the start",
            source=f"the one-step rows of {_ADAMBNN}, table 1",
            expected="98.1 to 99.4 % of the test digits over five seeds",
        ),
        Recipe(
            name="digits-float",
            dataset="digits",
            model="digits-resnet",
            stages=(Stage("train", "float", epochs=12, lr=2e-3, weight_decay=5e-6),),
            batch_size=64,
            augmentation="shift1",
            label_smoothing=0.1,
            description="the float twin of digits",
            source="the same network with real weights and ReLU",
            expected="99 to 100 % of the test digits",
        ),
        Recipe(
            name="cifar10-quick",
            dataset="cifar10",
            model="cifar-resnet",
            stages=(
                Stage("step1", "binary_activations", epochs=6, lr=2e-3, weight_decay=5e-6),
                Stage("step2", "binary", epochs=8, lr=2e-3),
            ),
            batch_size=64,
            augmentation="crop2-flip",
            mixed_precision="bf16",
            evaluate_every=5,
            description="binary network on CIFAR-10 in ten minutes on two cores",
            source=_TWO_STEP,
            expected="80.0 % of the test images of CIFAR-10 (JPEG copy)",
        ),
        Recipe(
            name="adambnn",
            dataset="images",
            model="reactnet-a",
            stages=_two_steps(256, 1.25e-3, 5e-6, teacher="given", decay_matrices=False),
            batch_size=256,
            augmentation="flip-lighting",
            mixed_precision="bf16",
            description="ReActNet-A on ImageNet in two steps, taught by a float network such as ResNet-34",
            source=f"{_ADAMBNN}; the rate falls by steps, not epochs, so that the last epoch learns too",
            expected=f"70.5 % (the paper; {_NOT_RUN})",
        ),
        Recipe(
            name="adambnn-one-step",
            dataset="images",
            model="reactnet-a",
            stages=(
                Stage("train", "binary", 256, lr=1.25e-3, weight_decay=5e-6, decay_matrices=False, teacher="given"),
            ),
            batch_size=256,
            augmentation="flip-lighting",
            mixed_precision="bf16",
            model_options={"scale": "mean_forward"},
            description="adambnn without its first step",
            source=f"{_ADAMBNN}, table 1, where a binary ResNet-18 loses 1.3 points by it; the weights' "
            "gradient lacks the scale, as in its code, so that the decay weighs as much",
            expected=f"no published figure for ReActNet-A; below the 70.5 % of adambnn ({_NOT_RUN})",
        ),
        Recipe(
            name="reactnet",
            dataset="images",
            model="reactnet-a",
            stages=_two_steps(120, 5e-4, 1e-5, teacher="given", decay_matrices=False),
            batch_size=256,
            augmentation="flip-lighting",
            mixed_precision="bf16",
            description="ReActNet-A on ImageNet, 600,000 iterations in each of two steps, taught by a float network",
            source="ReActNet (Liu et al. 2020, arXiv:2003.03488); unlike its code, step 2 keeps step 1's weights",
            expected=f"69.4 % (the paper; {_NOT_RUN})",
        ),
        Recipe(
            name="birealnet",
            dataset="images",
            model="bi-real-net-18",
            stages=(Stage("train", "binary", epochs=256, lr=1e-3),),
            batch_size=512,
            augmentation="flip",
            label_smoothing=0.1,
            mixed_precision="bf16",
            description="Bi-Real Net-18 on ImageNet from scratch",
            source="the PyTorch code of Bi-Real Net (Liu et al. 2018, arXiv:1808.00278)",
            expected=f"56.4 % (the paper; {_NOT_RUN})",
        ),
        Recipe(
            name="birealnet-float",
            dataset="images",
            model="bi-real-net-18",
            stages=(
                Stage(
                    "train",
                    "float",
                    epochs=100,
                    lr=0.1,
                    weight_decay=1e-4,
                    optimizer="sgd",
                    options={"momentum": 0.9},
                    schedule="cosine",
                    warmup=5,
                ),
            ),
            batch_size=512,
            augmentation="flip",
            mixed_precision="bf16",
            description="the float twin of birealnet, a teacher for the others",
            source="the first stage of Larq Zoo's Real-to-Binary, with momentum and weight decay",
            expected=f"no published figure in % ({_NOT_RUN})",
        ),
        Recipe(
            name="larq-quicknet",
            dataset="images",
            model="quicknet",
            stages=(
                Stage(
                    "train",
                    "binary",
                    epochs=600,
                    lr=0.1,
                    optimizer="sgd",
                    options={"momentum": 0.9},
                    schedule="cosine",
                    warmup=5,
                    binary_optimizer="adam",
                    binary_options={"lr": 1e-2, "clip": 1.25},
                    binary_schedules={"lr": "cosine"},
                ),
            ),
            batch_size=2048,
            augmentation="flip",
            mixed_precision="bf16",
            description="QuickNet on ImageNet: Adam for the binary weights, SGD with momentum for the others",
            source="Larq Zoo (Bannink et al. 2021, arXiv:2011.09398)",
            expected=f"63.3 % (Larq Zoo; {_NOT_RUN})",
        ),
        Recipe(
            name="r2b",
            dataset="images",
            model="real-to-binary",
            stages=_real_to_binary(75, (_r2b_steps(0), _r2b_steps(_R2B_WARMUP), "cosine"), "given"),
            batch_size=256,
            augmentation="flip",
            mixed_precision="bf16",
            attention_layers=_ENDS_OF_STAGES,
            description="Real-to-Binary Net on ImageNet: each stage learns from the network of the stage before, the "
            "first from a given one: a run of birealnet-float fits, others by teacher_attention_layers",
            source=f"{_R2B}, with the factors of Larq Zoo",
            expected=f"65.4 % (the paper; {_NOT_RUN})",
        ),
        Recipe(
            name="r2b-cifar10",
            dataset="cifar10",
            model="real-to-binary-cifar",
            stages=_real_to_binary(60, ("cosine",) * 3, "none"),
            batch_size=128,
            augmentation="rotate15-crop4-flip",
            mixup=0.2,
            mixed_precision="bf16",
            attention_layers=("stem", "blocks.1", "blocks.3", "blocks.5"),
            evaluate_every=5,
            description="r2b on CIFAR-10, its first teacher being itself in float",
            source=f"{_R2B}, with the augmentation of its CIFAR-100 runs",
            expected=f"no published figure in % ({_NOT_RUN})",
        ),
        _binarynet_cifar10(
            "bop-cifar10",
            Stage(
                "train",
                "binary",
                epochs=500,
                lr=1e-2,
                schedule="constant",
                binary_optimizer="bop",
                binary_options={"gamma": 1e-4, "threshold": 1e-8},
                binary_schedules={"gamma": "step:0.1,0.2,0.4,0.6,0.8"},
            ),
            "BinaryNet on CIFAR-10 without latent weights",
            _BOP,
            f"91.3 % (the paper; {_NOT_RUN})",
        ),
        _binarynet_cifar10(
            "bop-cifar10-latent",
            Stage("train", "binary", epochs=500, lr=1e-3, schedule="step:0.1,0.2,0.4,0.6,0.8", options={"clip": 1.0}),
            "BinaryNet on CIFAR-10 with latent weights and Adam, the rival of bop-cifar10",
            f"{_BOP}, and without its layer-wise rates",
            f"90.9 % (the paper; {_NOT_RUN})",
        ),
        _binarynet_cifar10(
            "bamsprod-cifar10",
            Stage(
                "train",
                "binary",
                epochs=500,
                lr=1e-2,
                binary_optimizer="bamsprod",
                binary_options={"lr": 0.1},
            ),
            "BinaryNet on CIFAR-10 with a reconstruction of BAMSProd",
            "reconstruction after the abstract of BAMSProd (Liu et al. 2020, arXiv:2009.13799); its rate is the best "
            "and largest of the six in benchmarks/results/optimizers-tuning.csv, of 2 epochs of a slimmer network",
            f"no published figure in % for the reconstruction ({_NOT_RUN})",
        ),
    )
}
"""Images of ``images`` are also cropped at random (8 to 100 % of the area) while they are decoded."""


def list_recipes() -> list[str]:
    """Every name that ``get_recipe`` knows, sorted."""
    return sorted(_RECIPES)


def get_recipe(name: str) -> Recipe:
    """The recipe called ``name``; ValueError with the known names and the nearest if there is none."""
    return find("recipe", name, _RECIPES)
