"""``bittern inspect``: what a run, a model file or a model of the registry consists of and costs."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bittern._text import listed
from bittern.cli._errors import say
from bittern.cli._layers import print_layers
from bittern.cli._output import (
    Json,
    bytes_text,
    count_text,
    millions_text,
    output,
    percent_text,
    plain,
    print_facts,
    print_json,
    seconds_text,
    table,
)

if TYPE_CHECKING:
    from bittern.export import LayerSummary, ModelSummary, Prediction
    from bittern.runtime import Metadata

_SUFFIX = ".pte"
_WIDE = 100
"""Columns of a terminal that the table of layers needs, with names of usual length."""


def command(
    what: Annotated[
        str,
        typer.Argument(metavar="RUN | MODEL.pte | NAME", help="A run folder, a model file, or the name of a model."),
    ],
    json: Json = False,
) -> None:
    """Show what a run, a model file or a model consists of: layers, bits, memory, predicted latency."""
    path = Path(what)
    if path.is_dir():
        _inspect_run(path, json)
    elif path.suffix == _SUFFIX or path.exists() or path.name != what:
        _inspect_file(path, json)
    else:
        _inspect_model(what, json)


def _inspect_file(path: Path, json: bool) -> None:
    from bittern.runtime import load

    metadata, size = load(path).metadata, path.stat().st_size
    if json:
        print_json({"file": str(path), "size": size, "metadata": metadata.to_json()})
        return
    print_facts([("file", f"{path}, {bytes_text(size)}"), *_facts(metadata)])
    rows = (
        ([plain(operator.path), str(index), plain(operator.op)], None)
        for index, operator in enumerate(metadata.operators)
    )
    print_layers(["Module", ">Call", "Operator"], rows)


def _inspect_run(folder: Path, json: bool) -> None:
    from bittern.export import summary
    from bittern.train import load_run

    run = load_run(folder)
    info = run.info
    costs = summary(run.model, info.input_shape)
    if json:
        print_json({"run": str(folder), **info.to_json(), **_costs_json(costs)})
        return
    accuracy = info.metrics.get("test_accuracy")
    print_facts(
        [
            ("run", str(folder)),
            ("recipe", f"{info.recipe} on {info.dataset}, seed {info.seed}" if info.recipe else ""),
            ("source", f"{info.origin.source}: {info.origin.file}" if info.origin else ""),
            ("model", info.model + "".join(f", {key} {value}" for key, value in info.options.items())),
            ("accuracy", "" if accuracy is None else f"{percent_text(accuracy)} of the test images"),
            ("made by", ", ".join(f"{name} {version}" for name, version in info.versions.items())),
        ]
    )
    _print_costs(costs)


def _inspect_model(name: str, json: bool) -> None:
    from bittern.export import summary
    from bittern.models import create, get_model

    info = get_model(name)
    costs = summary(create(name), (info.in_channels, info.image_size, info.image_size))
    if json:
        print_json({"model": name, "description": info.description, "source": info.source, **_costs_json(costs)})
        return
    print_facts([("model", name), ("", info.description), ("source", info.source)])
    _print_costs(costs)


def _prediction(costs: "ModelSummary") -> "Prediction":
    """At the measured rates that are closest to this machine and its instruction set."""
    from bittern.cli._machine import cpu_name
    from bittern.export import nearest_rates, predict
    from bittern.runtime import isa

    try:
        present = isa()
    except ImportError:  # the engine was never built here: any machine's rates are as good
        present = None
    return predict(costs, nearest_rates(cpu_name(), present))


def _costs_json(costs: "ModelSummary") -> dict[str, Any]:
    return {"summary": costs.to_json(), "prediction": _prediction(costs).to_json()}


def _print_costs(costs: "ModelSummary") -> None:
    prediction = _prediction(costs)
    widths = sorted(costs.parameters)
    columns = [
        "Module",
        "Kind",
        ">Input\nbits",
        "Output",
        ">Output\nbytes",
        *(f">{bits}-bit\nparams" for bits in widths),
        ">Size",
        ">Binary\nMACs",
        ">Float\nMACs",
        ">Predicted\ntime",
    ]
    rows = [_cells(layer, widths, prediction.of(layer.path)) for layer in costs.layers]
    shown = list(range(len(columns)))
    if output().width < _WIDE:
        shown = [0, 3, *range(len(columns) - 4, len(columns))]
        say(f"a terminal of {_WIDE} columns shows bits, bytes and parameters of each layer too")
    print_layers([columns[i] for i in shown], (([row[i] for i in shown], None) for row in rows))
    _print_reasons(costs)
    for warning in costs.warnings:
        say(f"warning: {warning}")
    print_facts(_totals(costs, prediction))


def _cells(layer: "LayerSummary", widths: list[int], seconds: float) -> list[str]:
    return [
        layer.path,
        layer.kind,
        "" if layer.input_bits is None else str(layer.input_bits),
        "x".join(map(str, layer.output_shape or ())),
        "" if layer.output_bytes is None else bytes_text(layer.output_bytes),
        *(count_text(layer.parameters[bits]) if bits in layer.parameters else "" for bits in widths),
        bytes_text(layer.bytes),
        millions_text(layer.binary_macs),
        millions_text(layer.float_macs),
        seconds_text(seconds) if seconds else "",
    ]


def _print_reasons(costs: "ModelSummary") -> None:
    """Each reason once, with its layers."""
    paths: dict[str, list[str]] = {}
    for layer in costs.layers:
        if layer.not_binary is not None:
            paths.setdefault(layer.not_binary, []).append(layer.path or layer.kind)
    if not paths:
        return
    reasons = table(["Not binary, because", "Layers"])
    for reason, layers in paths.items():
        reasons.add_row(plain(reason), plain(", ".join(layers)))
    output().print(reasons)


def _totals(costs: "ModelSummary", prediction: "Prediction") -> list[tuple[str, str]]:
    learned, binary = sum(costs.parameters.values()), costs.parameters.get(1, 0)
    unlearned = f"; {count_text(costs.larq_parameters)} with BatchNorm's moving statistics, which Keras counts too"
    peak = costs.peak
    smaller = f", {costs.float_bytes / costs.bytes:.1f} times as much" if costs.bytes else ""
    return [
        (
            "parameters",
            f"{count_text(learned)}, {count_text(binary)} of them binary{unlearned if costs.unlearned else ''}",
        ),
        (
            "size",
            f"{bytes_text(costs.bytes)} of parameters; {bytes_text(costs.small_bytes)} with 8 bits for all that is not "
            f"binary; {bytes_text(costs.float_bytes)} in float{smaller}",
        ),
        (
            "MACs",
            f"{millions_text(costs.binary_macs + costs.float_macs) or '0'} an image, "
            f"{percent_text(costs.binary_mac_share)} of them binary",
        ),
        (
            "activations",
            f"at most {bytes_text(peak.live_bytes)} at once, at {peak.path or 'the top'}" if peak is not None else "",
        ),
        (
            "latency",
            f"predicted for {prediction.machine}, {prediction.isa}, one thread: {seconds_text(prediction.seconds)}",
        ),
    ]


def _facts(metadata: "Metadata") -> list[tuple[str, str]]:
    rule = metadata.preprocessing
    classes = metadata.class_names
    counts = Counter(operator.op for operator in metadata.operators)
    return [
        ("model", metadata.model),
        ("input", " x ".join(map(str, metadata.input_shape)) + " (N, C, H, W)"),
        ("output", " x ".join(map(str, metadata.output_shape))),
        ("classes", f"{len(classes)}: {listed(classes)}" if classes else "not named"),
        (
            "pixels",
            f"(0..255 * {rule.scale:.6g} - {_numbers(rule.mean)}) / {_numbers(rule.std)}" if rule else "not described",
        ),
        ("images", _geometry(metadata)),
        ("made by", f"Bittern {metadata.bittern}, ExecuTorch {metadata.executorch}"),
        ("binary", ", ".join(f"{count} {op}" for op, count in counts.items()) or "nothing"),
    ]


def _geometry(metadata: "Metadata") -> str:
    rule = metadata.preprocessing
    if rule is None or rule.geometry is None:
        return "not described"
    height, width = metadata.input_shape[2:]  # a rule is for images
    return rule.geometry.describe((width, height))


def _numbers(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]" if len(values) > 1 else f"{values[0]:g}"
