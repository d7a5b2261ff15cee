"""Whole networks for 224x224 images, batch 1, in Bittern and its rivals: ``python -m benchmarks networks``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.driver import Column, Driver, FailedError, Sample
from benchmarks.environments import LARQ, MODELS, RIVALS, VENV, MissingError, Say
from benchmarks.kernels import source_digest
from benchmarks.results import NetworkRow

THREADS = (1, 2)


@dataclass(frozen=True)
class Source:
    """A network in an engine, before its file is built."""

    network: str
    precision: str
    engine: str
    environment: str
    module: str
    builder: str
    form: str
    suffix: str
    options: tuple[tuple[str, bool], ...] = ()
    unthreaded: bool = False

    @property
    def name(self) -> str:
        return f"{self.network} {self.precision} {self.engine}"


def rivals(network: str) -> list[Source]:
    sources = []
    for precision in ("float", "int8"):
        onnx = (RIVALS, "network_onnx", precision, ".onnx")
        for engine, module in (("ONNX Runtime", "onnx_runtime"), ("OpenVINO", "openvino")):
            sources.append(Source(network, precision, engine, onnx[0], module, *onnx[1:]))
        pte = ("network_pte", precision, ".pte")
        sources.append(Source(network, precision, "XNNPACK", VENV, "executorch", *pte))
    return sources


def _larq(network: str) -> list[Source]:
    """With and without TFLite's XNNPACK delegate for the float parts. Its indirect kernel runs on one thread."""
    model = (LARQ, "larq", "network_tflite", "binary", ".tflite")
    return [
        Source(network, "binary", "Larq", *model),
        Source(network, "binary", "Larq indirect", *model, options=(("indirect", True),)),
        Source(network, "binary", "Larq indirect, XNNPACK", *model, options=(("indirect", True), ("xnnpack", True))),
    ]


def bittern(network: str) -> Source:
    return Source(network, "binary", "Bittern", VENV, "executorch", "network_pte", "bittern", ".pte")


SOURCES = [
    *(bittern(network) for network in ("quicknet", "quicknet-small", "quicknet-large", "reactnet-a", "bi-real-net-18")),
    *_larq("quicknet"),
    *rivals("resnet-18"),
    *rivals("mobilenet-v2"),
    *rivals("mobilenet-v2-0.75"),
    *rivals("mobilenet-v2-0.5"),
    *rivals("mobilenet-v2-0.35"),
    *rivals("efficientnet-lite0"),
]

EXPORTER = ("benchmarks/networks", "src/bittern/export", "src/bittern/models", "src/bittern/nn", "src/bittern/ops")
"""What the programs of Bittern depend on."""


def model_file(source: Source) -> Path:
    """Where the file of ``source`` lies, or will. Its name tells what it was built from."""
    exporter = EXPORTER if source.form == "bittern" else ("benchmarks/networks",)
    digest = source_digest("benchmarks/build_models", *exporter)
    return MODELS / f"{source.network}-{source.form}-{digest}{source.suffix}"


def column(driver: Driver, source: Source, threads: int) -> Column:
    """The column of ``source``, its model file built; with a reason where that fails."""
    path = model_file(source)
    reason = ""
    try:
        driver.build(source.environment, source.builder, {"network": source.network, "form": source.form}, path)
    except (MissingError, FailedError) as error:
        reason = str(error)
    name = f"{source.name}, {threads} thread{'s' if threads > 1 else ''}"
    return Column(name, source.environment, source.module, path, threads, dict(source.options), reason=reason)


def measure(
    driver: Driver, sources: Sequence[Source], *, rounds: int, say: Say, machine: str, revision: str
) -> list[NetworkRow]:
    """Latencies of all networks on every number of threads, interleaved; then memory, one process each."""
    columns: dict[tuple[Source, int], Column] = {}
    for threads in THREADS:
        if threads > driver.cores:
            say(f"skipped: {threads} threads need as many cores, this process may use {driver.cores}")
            continue
        for index, source in enumerate(sources):
            if threads == 1:
                say(f"[{index + 1}/{len(sources)}] building {source.name}, if it is not there")
            columns[source, threads] = column(driver, source, threads)
    samples = driver.measure(columns.values(), rounds=rounds, seconds=0.03, aloud=True)
    rows = []
    for (source, threads), each in columns.items():
        sample = samples[each.name]
        measured = _footprint(driver, each, sample) if threads == 1 else (0.0, 0.0, 0.0)
        rows.append(_row(source, threads, sample, measured, machine, revision))
        say(f"{each.name}: {sample.reason or f'{sample.median * 1e3:.2f} ms'}")
    return rows


def _footprint(driver: Driver, column: Column, sample: Sample) -> tuple[float, float, float]:
    """MiB of the file, ms of loading, MiB of memory."""
    if sample.reason:
        return 0.0, 0.0, 0.0
    worker = driver.fresh(column)
    options = {"engine": column.engine, "path": str(column.path), "threads": 1, "options": column.options}
    try:
        result = worker.ask("footprint", **options)
    finally:
        worker.close()
    return column.path.stat().st_size / 2**20, result["seconds"] * 1e3, result["bytes"] / 2**20


def _row(
    source: Source, threads: int, sample: Sample, measured: tuple[float, float, float], machine: str, revision: str
) -> NetworkRow:
    named = (source.network, source.precision, source.engine, sample.reason, threads)
    return NetworkRow(*named, *milliseconds(sample), len(sample.medians), *measured, machine, revision)


def milliseconds(sample: Sample) -> tuple[float, float, float, float]:
    """Median, quartiles, shortest; zeros where there are none."""
    if sample.reason:
        return 0.0, 0.0, 0.0, 0.0
    return sample.median * 1e3, sample.quartiles[0] * 1e3, sample.quartiles[1] * 1e3, min(sample.shortest) * 1e3
