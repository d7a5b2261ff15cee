"""``bittern bench``: how long a model file takes and where the time goes."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bittern.cli._layers import layer_times, print_layers
from bittern.cli._output import Json, bytes_text, output, plain, print_facts, print_json, seconds_text, table


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.pte", help="File that `bittern export` wrote.")],
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads of the engine.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements.")] = 30,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show which kernel runs each layer, and how it was chosen.")
    ] = False,
    json: Json = False,
) -> None:
    """Measure the latency of a model file and of each of its operators."""
    import numpy as np

    from bittern.cli._machine import this_machine
    from bittern.runtime import interleaved, isa, kernels, load

    engine = load(model, threads=threads)
    images = np.random.default_rng(0).standard_normal(engine.metadata.input_shape, np.float32)
    timing = interleaved({"model": lambda: engine(images)}, rounds=rounds)["model"]
    layers = layer_times(engine, images, runs=rounds)
    total = sum(layer.seconds for layer in layers)
    batch = engine.metadata.input_shape[0]
    machine = this_machine()
    if json:
        print_json(
            {
                "model": str(model),
                "name": engine.metadata.model,
                "size": model.stat().st_size,
                "input_shape": list(engine.metadata.input_shape),
                "threads": threads,
                "isa": isa(),
                "machine": machine.to_json(),
                "rounds": rounds,
                "latency_seconds": timing.median,
                "spread": timing.spread,
                "images_per_second": batch / timing.median,
                "kernels": [asdict(kernel) for kernel in kernels()],
                "operators": [{**layer.to_json(), "share": layer.seconds / total} for layer in layers],
            }
        )
        return
    per_batch = f" for {batch} images" if batch > 1 else ""
    print_facts(
        [
            ("model", f"{engine.metadata.model}, {model}, {bytes_text(model.stat().st_size)}"),
            ("machine", f"{machine}; instruction set {isa()}, {threads} thread{'s' if threads > 1 else ''}"),
            (
                "latency",
                f"{seconds_text(timing.median)}{per_batch} (median of {rounds}, quartiles {timing.spread:.1%} apart)",
            ),
            ("throughput", f"{batch / timing.median:,.0f} images/s"),
        ]
    )
    longest = max(layer.seconds for layer in layers)
    columns = ["Module", "Operator", *(["Kernel"] if explain else []), ">Time", ">Share", ""]
    rows = (
        [
            plain(layer.path) or "[dim]float parts[/dim]",
            layer.operator,
            *([layer.kernel or ""] if explain else []),
            seconds_text(layer.seconds),
            f"{layer.seconds / total:.1%}",
            "▇" * max(1, round(20 * layer.seconds / longest)),
        ]
        for layer in layers
    )
    print_layers(columns, ((cells, None) for cells in rows))
    if explain:
        choices = table(["Kernel", ">Tile", ">From pixels", ">From filters", ">From words", "And"])
        for kernel in kernels():
            tile = f"{kernel.tile_pixels} pixels x {kernel.tile_filters} filters"
            least = (kernel.min_pixels, kernel.min_filters, kernel.min_words)
            choices.add_row(kernel.name, tile, *map(str, least), kernel.needs)
        output().print("\nA layer on packed bits without masked groups takes the first kernel whose minimums it meets:")
        output().print(choices)
