"""``bittern inspect``: what is in a run folder, a model file, or a model of the registry."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittern.cli._output import (
    Json,
    bytes_text,
    count_text,
    millions_text,
    output,
    percent_text,
    print_facts,
    print_json,
    print_line,
    table,
)

if TYPE_CHECKING:
    from bittern.models import ModelSummary
    from bittern.runtime import Metadata

_SUFFIX = ".pte"


def command(
    what: Annotated[
        str, typer.Argument(metavar="RUN | MODEL.pte | NAME", help="A run folder, a model file, or a model.")
    ],
    json: Json = False,
) -> None:
    """Show what a run, a model file or a model of the list consists of."""
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
    operators = table([">Call", "Module", "Operator"])
    for index, operator in enumerate(metadata.operators):
        operators.add_row(str(index), operator.path, operator.op)
    if metadata.operators:
        output().print(operators)


def _inspect_run(folder: Path, json: bool) -> None:
    from bittern.models import summary
    from bittern.train import load_run

    run = load_run(folder)
    info = run.info
    costs = summary(run.model, info.input_shape)
    if json:
        print_json({"run": str(folder), **info.to_json(), "summary": costs.to_json()})
        return
    print_facts(
        [
            ("run", str(folder)),
            ("recipe", f"{info.recipe} on {info.dataset}, seed {info.seed}"),
            ("model", info.model + "".join(f", {key} {value}" for key, value in info.options.items())),
            ("accuracy", f"{percent_text(info.metrics['test_accuracy'])} of the test images"),
            ("made by", ", ".join(f"{name} {version}" for name, version in info.versions.items())),
        ]
    )
    _print_summary(costs)


def _inspect_model(name: str, json: bool) -> None:
    from bittern.models import create, get_model, summary

    info = get_model(name)
    costs = summary(create(name), (info.in_channels, info.image_size, info.image_size))
    if json:
        print_json({"model": name, "description": info.description, "source": info.source, "summary": costs.to_json()})
        return
    print_facts([("model", name), ("", info.description), ("source", info.source)])
    _print_summary(costs)


def _print_summary(costs: "ModelSummary") -> None:
    widths = sorted(costs.parameters)
    layers = table(
        [
            "Module",
            "Kind",
            "Output",
            *(f">{bits}-bit\nparams" for bits in widths),
            ">Size",
            ">Binary\nMACs",
            ">Float\nMACs",
        ]
    )
    for layer in costs.layers:
        parameters = [count_text(layer.parameters[bits]) if bits in layer.parameters else "" for bits in widths]
        layers.add_row(
            layer.path,
            layer.kind,
            "x".join(map(str, layer.output_shape or ())),
            *parameters,
            bytes_text(layer.bytes),
            millions_text(layer.binary_macs),
            millions_text(layer.float_macs),
        )
    output().print(layers)
    total = costs.binary_macs + costs.float_macs
    share = costs.binary_macs / total if total else 0.0
    print_line(
        f"{bytes_text(costs.bytes)} of parameters ({bytes_text(costs.float_bytes)} in float); "
        f"{millions_text(total)} multiply-accumulates an image, {percent_text(share)} of them binary"
    )


def _facts(metadata: "Metadata") -> list[tuple[str, str]]:
    rule = metadata.preprocessing
    classes = metadata.class_names
    counts = Counter(operator.op for operator in metadata.operators)
    return [
        ("model", metadata.model),
        ("input", " x ".join(map(str, metadata.input_shape)) + " (N, C, H, W)"),
        ("output", " x ".join(map(str, metadata.output_shape))),
        ("classes", ", ".join(classes) if classes else "not named"),
        (
            "pixels",
            f"(0..255 * {rule.scale:.6g} - {_numbers(rule.mean)}) / {_numbers(rule.std)}" if rule else "not described",
        ),
        ("made by", f"Bittern {metadata.bittern}, ExecuTorch {metadata.executorch}"),
        ("binary", ", ".join(f"{count} {op}" for op, count in counts.items()) or "nothing"),
    ]


def _numbers(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]" if len(values) > 1 else f"{values[0]:g}"
