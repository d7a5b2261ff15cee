"""Layers, one program each, in Bittern and its rivals, and single kernels: ``python -m benchmarks layers``."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial

from benchmarks.measure import kernels
from benchmarks.measure.campaign import Campaign
from benchmarks.measure.driver import Column, Driver, Timings
from benchmarks.measure.environments import LARQ, RIVALS, VENV
from benchmarks.measure.layers import GROUPS, LAYERS, NEIGHBOURS, LayerCase
from benchmarks.measure.programs import BUILDERS, Entry, build_column
from benchmarks.rows import LayerRow, Stamp
from bittern import runtime

PACKED, FLOAT_IN, TWO_THREADS = "bittern", "bittern, float in", "2 threads"
BOUND, CLOCK = "bound", "clock"
FLOATS = ("float ONNX Runtime", "float XNNPACK", "float OpenVINO")
INT8S = ("int8 ONNX Runtime", "int8 OpenVINO")
BINARIES = ("OpenVINO BinaryConvolution", "Larq", "Larq indirect")

RIVAL_ENTRIES = [
    Entry(FLOATS[0], RIVALS, "onnx_runtime", "layer_onnx", "float", ".onnx"),
    Entry(FLOATS[1], VENV, "executorch", "layer_pte", "float", ".pte"),
    Entry(FLOATS[2], RIVALS, "openvino", "layer_openvino", "float", ".xml"),
    Entry(INT8S[0], RIVALS, "onnx_runtime", "layer_onnx", "int8", ".onnx"),
    Entry(INT8S[1], RIVALS, "openvino", "layer_openvino", "int8", ".xml"),
    Entry(BINARIES[0], RIVALS, "openvino", "layer_openvino", "binary", ".xml"),
    Entry(BINARIES[1], LARQ, "larq", "layer_tflite", "binary", ".tflite"),
    Entry(BINARIES[2], LARQ, "larq", "layer_tflite", "binary", ".tflite", (("indirect", True),)),
]


def own_entries() -> list[Entry]:
    """Bittern's columns: with the instruction set that it chooses, and with every slower vector one forced."""
    packed = Entry(PACKED, VENV, "executorch", "layer_pte", "packed", ".pte")
    forced = [isa for isa in runtime.supported_isas()[1:] if isa != "portable"]
    return [
        packed,
        replace(packed, name=FLOAT_IN, form="packed-float-in"),
        *(replace(packed, name=f"{PACKED}, {isa}", variables=(("BITTERN_ISA", isa),)) for isa in forced),
    ]


def run(campaign: Campaign) -> None:
    """A file for each group of layers, then the kernels without ExecuTorch around them."""
    options = campaign.options
    for group in GROUPS:
        chosen = [layer for layer in LAYERS if layer.group == group and options.only in layer.name]
        if chosen:
            campaign.measure(f"layers-{group}", partial(measure, chosen, options.rivals, options.rounds))
    repeats = 10 * options.rounds
    campaign.measure("kernels", partial(kernels.measure_kernels, options.only, repeats))
    campaign.measure("choices", partial(kernels.measure_choices, repeats))
    campaign.measure("memory", kernels.measure_memory)


def layer_column(driver: Driver, entry: Entry, layer: LayerCase) -> Column:
    """The column of ``entry`` for ``layer``, its model file built; with a reason where that fails."""
    sources = [f"{BUILDERS}/{entry.builder}.py", *(["src/bittern/ops"] if entry.form.startswith("packed") else [])]
    return build_column(driver, entry, {"layer": asdict(layer)}, stem=layer.key, sources=sources)


def measure(layers: Sequence[LayerCase], rivals: bool, rounds: int, driver: Driver, stamp: Stamp) -> list[LayerRow]:
    """Measures layers one after the other, every layer's columns interleaved."""
    rows = []
    entries = own_entries() + (RIVAL_ENTRIES if rivals else [])
    bounds = kernels.bound_names(driver)
    for index, layer in enumerate(layers):
        neighbour = layer.group == NEIGHBOURS
        columns = [layer_column(driver, entry, layer) for entry in (entries[:1] if neighbour else entries)]
        seconds = 0.004
        if neighbour and driver.cores > 1:
            seconds = 0.03  # a second thread begins on the core of the first, and is moved some milliseconds later
            columns.append(replace(columns[0], name=TWO_THREADS, threads=2))
        for bound in bounds:
            columns.append(Column(f"{BOUND} {bound}", VENV, "bound", options={"isa": bound, "macs": layer.macs}))
        columns.append(Column(CLOCK, VENV, "bound", options={"clock": True}))
        timings = driver.measure(columns, rounds=rounds, seconds=seconds)
        ghz = 1e-3 / min(timings.pop(CLOCK).shortest)
        for name, found in timings.items():
            named = (layer.group, layer.name, layer.macs, layer.bytes, name, found.reason)
            rows.append(LayerRow(*named, *found.summary(1e-6), len(found.medians), ghz, **stamp))
        driver.say(f"[{index + 1}/{len(layers)}] {layer.name}: {_progress(timings)}")
    return rows


def _progress(timings: dict[str, Timings]) -> str:
    own = timings[PACKED]
    if own.reason:
        return own.reason
    floats = [found.median for name, found in timings.items() if name in FLOATS and not found.reason]
    versus = f", {min(floats) / own.median:.1f} times faster than the best float" if floats else ""
    return f"{own.median * 1e6:.1f} us{versus}"
