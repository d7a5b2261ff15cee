"""How far multiply-accumulates tell latency, and what shortcuts and padding cost: ``python -m benchmarks macs``.

After Bannink et al. 2021 (arXiv:2011.09398): all networks of Bittern's registry for 224x224 images, unchanged and with
one thing changed (`measure.rewrites`), beside the float and int8 networks that they have to beat.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial

from benchmarks.measure import split
from benchmarks.measure.campaign import Campaign
from benchmarks.measure.driver import Column, Driver, RequestError
from benchmarks.measure.environments import MODELS, VENV
from benchmarks.measure.network_files import bittern, column, rivals
from benchmarks.measure.programs import BUILDERS, EXPORTER, source_digest
from benchmarks.rows import MacsRow, Stamp

# torchvision's model pages, IMAGENET1K_V1 and the quantized weights (docs.pytorch.org/vision/stable/models.html); the
# README of EfficientNet-Lite (github.com/tensorflow/tpu, models/official/efficientnet/lite). Narrow MobileNetV2: the
# authors' float checkpoints (github.com/tensorflow/models, research/slim/nets/mobilenet); nobody published their int8
# accuracy, so int8 is taken to lose nothing, which favours it.
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
    """A network in an engine; ``variant``, ``changed``: as in `MacsRow`."""

    network: str
    precision: str
    engine: str
    column: Column
    variant: str = ""
    changed: int = 0


def run(campaign: Campaign) -> None:
    options = campaign.options
    chosen = [name for name in networks() if options.only in name]
    campaign.measure("macs", partial(measure, chosen, options.rivals, options.rounds))
    campaign.measure("macs-split", partial(split.measure, chosen))


def networks() -> list[str]:
    """Of Bittern's registry, those for 224x224 images."""
    from bittern.models import get_model, list_models

    return [name for name in list_models() if get_model(name).image_size == 224]


def measure(chosen: Sequence[str], with_rivals: bool, rounds: int, driver: Driver, stamp: Stamp) -> list[MacsRow]:
    """Latencies on one thread, all interleaved."""
    subjects: list[Subject] = []
    for index, network in enumerate(chosen):
        driver.say(f"[{index + 1}/{len(chosen)}] {network} and its variants: building what is missing")
        own = bittern(network)
        subjects.append(Subject(network, own.precision, own.engine, column(driver, own, 1)))
        subjects += _variants(driver, network)
    for network in PUBLISHED if with_rivals else ():
        driver.say(f"{network}: building what is missing")
        subjects += [Subject(network, c.precision, c.engine, column(driver, c, 1)) for c in rivals(network)]
    timings = driver.measure([each.column for each in subjects], rounds=rounds, seconds=0.03, aloud=True)
    rows = []
    for each in subjects:
        found = timings[each.column.name]
        named = (each.network, each.variant, each.precision, each.engine, found.reason)
        binary_macs, float_macs, predicted_ms = network_costs(each.network)
        counts = (len(found.medians), each.changed, binary_macs, float_macs)
        top1 = published_top1(each.network, each.precision)
        rows.append(MacsRow(*named, *found.summary(1e-3), *counts, predicted_ms, top1, **stamp))
    return rows


def _variants(driver: Driver, network: str) -> list[Subject]:
    digest = source_digest(f"{BUILDERS}/network_variants.py", "benchmarks/measure/rewrites.py", *EXPORTER)
    path = MODELS / f"{network}-variants-{digest}.json"
    try:
        driver.build(VENV, "network_variants", {"network": network}, path)
    except RequestError as error:
        reason = str(error)
        return [Subject(network, "binary", "Bittern", Column(f"{network}, variants", VENV, "", reason=reason), "all")]
    subjects = []
    for variant, facts in json.loads(path.read_text()).items():
        name = f"{network}, {variant}"
        program = Column(name, VENV, "executorch", path.with_name(facts["file"]), reason=facts["reason"])
        subjects.append(Subject(network, "binary", "Bittern", program, variant, facts["changed"]))
    return subjects


@cache
def network_costs(network: str) -> tuple[int, int, float]:
    """Binary and float multiply-accumulates, and the predicted milliseconds, 0 for networks that are not binary."""
    from benchmarks.measure.networks import RIVALS, build, input_shape
    from bittern.cli._machine import cpu_name
    from bittern.export import nearest_rates, predict, summary
    from bittern.runtime import isa

    costs = summary(build(network), input_shape(network))
    predicted = 0.0 if network in RIVALS else predict(costs, nearest_rates(cpu_name(), isa())).seconds * 1e3
    return costs.binary_macs, costs.float_macs, predicted


def published_top1(network: str, precision: str) -> float:
    """In percent; 0 where nothing is published."""
    if network in PUBLISHED:
        return PUBLISHED[network][precision]
    from bittern.models import get_model

    facts = get_model(network).facts
    return (facts.top1 if facts else None) or 0.0
