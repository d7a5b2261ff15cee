"""How far multiply-accumulates tell latency, and what shortcuts and padding cost: ``python -m benchmarks macs``.

After Bannink et al. 2021 (arXiv:2011.09398): all networks of Bittern's list that are for 224x224 images, as they are
and with one thing changed (benchmarks/rewrites.py), beside the float and int8 networks that they have to beat.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from benchmarks.driver import Column, Driver, FailedError, Sample
from benchmarks.environments import MODELS, VENV, Say
from benchmarks.kernels import source_digest
from benchmarks.network_times import EXPORTER, bittern, column, milliseconds, rivals
from benchmarks.results import StudyRow

# torchvision's model pages, IMAGENET1K_V1 and the quantized weights (docs.pytorch.org/vision/stable/models.html); the
# README of EfficientNet-Lite (github.com/tensorflow/tpu, models/official/efficientnet/lite). Narrow MobileNetV2: the
# authors' float checkpoints (github.com/tensorflow/models, research/slim/nets/mobilenet); nobody published their int8
# accuracy, so that int8 is taken to lose nothing, which favours it.
PUBLISHED = {
    "mobilenet-v2": {"float": 71.878, "int8": 71.658},
    "mobilenet-v2-0.75": {"float": 69.8, "int8": 69.8},
    "mobilenet-v2-0.5": {"float": 65.4, "int8": 65.4},
    "mobilenet-v2-0.35": {"float": 60.3, "int8": 60.3},
    "resnet-18": {"float": 69.758, "int8": 69.494},
    "efficientnet-lite0": {"float": 75.1, "int8": 74.4},
}
"""Top-1 accuracy on ImageNet, in percent, of the networks that are not binary."""


@dataclass(frozen=True)
class Subject:
    """A network in an engine; ``variant``, ``changed``: as in `StudyRow`."""

    network: str
    precision: str
    engine: str
    column: Column
    variant: str = ""
    changed: int = 0


def networks() -> list[str]:
    """Of Bittern's list, those for 224x224 images."""
    from bittern.models import get_model, list_models

    return [name for name in list_models() if get_model(name).image_size == 224]


def measure(
    driver: Driver, chosen: Sequence[str], *, frontier: bool, rounds: int, say: Say, machine: str, revision: str
) -> list[StudyRow]:
    """Latencies of ``chosen`` and of the frontier on one thread, all interleaved."""
    subjects: list[Subject] = []
    for index, network in enumerate(chosen):
        say(f"[{index + 1}/{len(chosen)}] building {network} and its variants, if they are not there")
        source = bittern(network)
        subjects.append(Subject(network, source.precision, source.engine, column(driver, source, 1)))
        subjects += _variants(driver, network)
    for network in PUBLISHED if frontier else ():
        say(f"building {network} in other engines, if it is not there")
        sources = rivals(network)
        subjects += [Subject(network, s.precision, s.engine, column(driver, s, 1)) for s in sources]
    samples = driver.measure([each.column for each in subjects], rounds=rounds, seconds=0.03, aloud=True)
    return [_row(each, samples[each.column.name], machine, revision) for each in subjects]


def _variants(driver: Driver, network: str) -> list[Subject]:
    digest = source_digest("benchmarks/build_models/network_variants.py", "benchmarks/rewrites.py", *EXPORTER)
    path = MODELS / f"{network}-variants-{digest}.json"
    try:
        driver.build(VENV, "network_variants", {"network": network}, path)
    except FailedError as error:
        reason = str(error)
        return [Subject(network, "binary", "Bittern", Column(f"{network}, variants", VENV, "", reason=reason), "all")]
    subjects = []
    for variant, facts in json.loads(path.read_text()).items():
        name = f"{network}, {variant}"
        program = Column(name, VENV, "executorch", path.with_name(facts["file"]), reason=facts["reason"])
        subjects.append(Subject(network, "binary", "Bittern", program, variant, facts["changed"]))
    return subjects


@cache
def _costs(network: str) -> tuple[int, int, float]:
    """Binary and float multiply-accumulates, and the predicted milliseconds, 0 for networks that are not binary."""
    from benchmarks.networks import RIVALS, build, input_shape
    from bittern.cli._machine import cpu_name
    from bittern.export import nearest_rates, predict, summary
    from bittern.runtime import isa

    costs = summary(build(network), input_shape(network))
    predicted = 0.0 if network in RIVALS else predict(costs, nearest_rates(cpu_name(), isa())).seconds * 1e3
    return costs.binary_macs, costs.float_macs, predicted


def _top1(network: str, precision: str) -> float:
    if network in PUBLISHED:
        return PUBLISHED[network][precision]
    from bittern.models import get_model

    facts = get_model(network).facts
    return (facts.top1 if facts else None) or 0.0


def _row(subject: Subject, sample: Sample, machine: str, revision: str) -> StudyRow:
    named = (subject.network, subject.variant, subject.precision, subject.engine, sample.reason)
    counts = (len(sample.medians), subject.changed)
    binary_macs, float_macs, predicted = _costs(subject.network)
    top1 = _top1(subject.network, subject.precision)
    times = milliseconds(sample)
    return StudyRow(*named, *times, *counts, binary_macs, float_macs, predicted, top1, machine, revision)
