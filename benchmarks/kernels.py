"""Layers, one program a layer, in Bittern and its rivals: ``python -m benchmarks kernels``."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.driver import Column, Driver, FailedError, Sample
from benchmarks.environments import LARQ, MODELS, RIVALS, ROOT, VENV, MissingError, Say
from benchmarks.isas import ask_bounds
from benchmarks.layers import NEIGHBOURS, Layer
from benchmarks.results import LayerRow
from bittern import runtime

PACKED, FLOAT_IN, TWO_THREADS = "bittern", "bittern, float in", "2 threads"
BOUND, CLOCK = "bound", "clock"
FLOATS = ("float ONNX Runtime", "float XNNPACK", "float OpenVINO")
INT8S = ("int8 ONNX Runtime", "int8 OpenVINO")
BINARIES = ("OpenVINO BinaryConvolution", "Larq", "Larq indirect")


@dataclass(frozen=True)
class Source:
    """A column before its model file is built. ``suffix`` of the file; the builder runs in ``builds_in``."""

    column: str
    environment: str
    engine: str
    builder: str
    form: str
    suffix: str
    options: tuple[tuple[str, bool], ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


def forced_name(isa: str) -> str:
    return f"{PACKED}, {isa}"


def bittern_sources() -> list[Source]:
    """Bittern's columns: the instruction set that it chooses, and every slower vector one forced."""
    packed = ("executorch", "layer_pte", "packed", ".pte")
    forced = [
        Source(forced_name(isa), VENV, *packed, variables=(("BITTERN_ISA", isa),))
        for isa in runtime.supported_isas()[1:]
        if isa != "portable"
    ]
    return [
        Source(PACKED, VENV, *packed),
        Source(FLOAT_IN, VENV, "executorch", "layer_pte", "packed-float-in", ".pte"),
        *forced,
    ]


RIVAL_SOURCES = [
    Source(FLOATS[0], RIVALS, "onnx_runtime", "layer_onnx", "float", ".onnx"),
    Source(FLOATS[1], VENV, "executorch", "layer_pte", "float", ".pte"),
    Source(FLOATS[2], RIVALS, "openvino", "layer_openvino", "float", ".xml"),
    Source(INT8S[0], RIVALS, "onnx_runtime", "layer_onnx", "int8", ".onnx"),
    Source(INT8S[1], RIVALS, "openvino", "layer_openvino", "int8", ".xml"),
    Source(BINARIES[0], RIVALS, "openvino", "layer_openvino", "binary", ".xml"),
    Source(BINARIES[1], LARQ, "larq", "layer_tflite", "binary", ".tflite"),
    Source(BINARIES[2], LARQ, "larq", "layer_tflite", "binary", ".tflite", options=(("indirect", True),)),
]


_SOURCES = (".py", ".cc", ".h", ".inc")


def source_digest(*folders: str) -> str:
    """Names what model files were built from, so that stale ones are not used."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*") if (ROOT / folder).is_dir() else [ROOT / folder]):
            if path.suffix in _SOURCES:
                digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def column(driver: Driver, source: Source, layer: Layer) -> Column:
    """The column of ``source`` for ``layer``, its model file built; with a reason where that fails."""
    sources = [f"benchmarks/build_models/{source.builder}.py"]
    sources += ["src/bittern/ops"] if source.form.startswith("packed") else []
    path = MODELS / f"{layer.key}-{source.form}-{source_digest(*sources)}{source.suffix}"
    reason = ""
    try:
        driver.build(source.environment, source.builder, {"form": source.form, "layer": asdict(layer)}, path)
    except (MissingError, FailedError) as error:
        reason = str(error)
    return Column(
        source.column,
        source.environment,
        source.engine,
        path,
        options=dict(source.options),
        variables=source.variables,
        reason=reason,
    )


def measure(
    driver: Driver, layers: Sequence[Layer], *, rivals: bool, rounds: int, say: Say, machine: str, revision: str
) -> list[LayerRow]:
    """Measures layers one after the other, every layer's columns interleaved."""
    rows = []
    all_sources = bittern_sources() + (RIVAL_SOURCES if rivals else [])
    bounds = ask_bounds(driver.worker(VENV, "bound", 1))
    for index, layer in enumerate(layers):
        sources = all_sources[:1] if layer.group == NEIGHBOURS else all_sources
        columns = [column(driver, source, layer) for source in sources]
        seconds = 0.004
        if layer.group == NEIGHBOURS and driver.cores > 1:
            seconds = 0.03  # a second thread begins on the core of the first, and is moved some milliseconds later
            columns.append(replace(columns[0], name=TWO_THREADS, threads=2))
        for bound in bounds:
            columns.append(Column(f"{BOUND} {bound}", VENV, "bound", options={"isa": bound, "macs": layer.macs}))
        columns.append(Column(CLOCK, VENV, "bound", options={"clock": True}))
        samples = driver.measure(columns, rounds=rounds, seconds=seconds)
        ghz = 1e-3 / min(samples[CLOCK].shortest)
        del samples[CLOCK]
        rows += [_row(layer, name, sample, ghz, machine, revision) for name, sample in samples.items()]
        say(f"[{index + 1}/{len(layers)}] {layer.name}: {_summary(samples)}")
    return rows


def _summary(samples: dict[str, Sample]) -> str:
    own = samples[PACKED]
    if own.reason:
        return own.reason
    floats = [sample.median for name, sample in samples.items() if name in FLOATS and not sample.reason]
    versus = f", {min(floats) / own.median:.1f} times faster than the best float" if floats else ""
    return f"{own.median * 1e6:.1f} us{versus}"


def _row(layer: Layer, name: str, sample: Sample, ghz: float, machine: str, revision: str) -> LayerRow:
    shared = (layer.group, layer.name, layer.macs, layer.bytes, name, sample.reason)
    if sample.reason:
        return LayerRow(*shared, 0.0, 0.0, 0.0, 0.0, 0, ghz, machine, revision)
    low, high = sample.quartiles
    times = (sample.median * 1e6, low * 1e6, high * 1e6, min(sample.shortest) * 1e6)
    return LayerRow(*shared, *times, len(sample.medians), ghz, machine, revision)


def csv_path(folder: Path, group: str) -> Path:
    return folder / f"kernels-{group}.csv"
