"""Whole networks of 224x224 images, batch 1, in Bittern and its rivals: ``python -m benchmarks networks``."""

from collections.abc import Sequence
from dataclasses import dataclass

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


def _rivals(network: str) -> list[Source]:
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


def _bittern(network: str) -> Source:
    return Source(network, "binary", "Bittern", VENV, "executorch", "network_pte", "bittern", ".pte")


SOURCES = [
    *(_bittern(network) for network in ("quicknet", "quicknet-small", "quicknet-large")),
    *_larq("quicknet"),
    *_rivals("resnet-18"),
    *_rivals("mobilenet-v2"),
]


def _column(driver: Driver, source: Source, threads: int) -> Column:
    sources = [f"benchmarks/build_models/{source.builder}.py", "benchmarks/networks"]
    sources += ["src/bittern/export", "src/bittern/models", "src/bittern/ops"] if source.form == "bittern" else []
    path = MODELS / f"{source.network}-{source.form}-{source_digest(*sources)}{source.suffix}"
    reason = ""
    subject = {"network": source.network, "form": source.form}
    try:
        driver.build(source.environment, source.builder, subject, path)
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
            columns[source, threads] = _column(driver, source, threads)
    samples = driver.measure(columns.values(), rounds=rounds, seconds=0.03, aloud=True)
    rows = []
    for (source, threads), column in columns.items():
        sample = samples[column.name]
        measured = _footprint(driver, column, sample) if threads == 1 else (0.0, 0.0, 0.0)
        rows.append(_row(source, threads, sample, measured, machine, revision))
        say(f"{column.name}: {sample.reason or f'{sample.median * 1e3:.2f} ms'}")
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
    times, rounds = (0.0, 0.0, 0.0, 0.0), 0
    if not sample.reason:
        low, high = sample.quartiles
        times = (sample.median * 1e3, low * 1e3, high * 1e3, min(sample.shortest) * 1e3)
        rounds = len(sample.medians)
    named = (source.network, source.precision, source.engine, sample.reason, threads)
    return NetworkRow(*named, *times, rounds, *measured, machine, revision)
