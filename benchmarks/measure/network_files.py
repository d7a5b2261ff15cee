"""Networks in engines: which there are, and their model files."""

from dataclasses import dataclass

from benchmarks.measure.driver import Column, Driver
from benchmarks.measure.environments import LARQ, RIVALS, VENV
from benchmarks.measure.programs import BUILDERS, EXPORTER, NETWORKS, Entry, build_column


@dataclass(frozen=True)
class NetworkEntry:
    """A network in an engine."""

    network: str
    precision: str
    program: Entry

    @property
    def engine(self) -> str:
        return self.program.name

    @property
    def name(self) -> str:
        return f"{self.network} {self.precision} {self.engine}"


def bittern(network: str) -> NetworkEntry:
    return NetworkEntry(network, "binary", Entry("Bittern", VENV, "executorch", "network_pte", "bittern", ".pte"))


def rivals(network: str) -> list[NetworkEntry]:
    """A network that is not binary, in float32 and int8, in every engine that runs it."""
    return [
        NetworkEntry(network, precision, entry)
        for precision in ("float", "int8")
        for entry in (
            Entry("ONNX Runtime", RIVALS, "onnx_runtime", "network_onnx", precision, ".onnx"),
            Entry("OpenVINO", RIVALS, "openvino", "network_onnx", precision, ".onnx"),
            Entry("XNNPACK", VENV, "executorch", "network_pte", precision, ".pte"),
        )
    ]


def larq(network: str) -> list[NetworkEntry]:
    """With and without TFLite's XNNPACK delegate for the float parts. The indirect kernel runs on one thread."""
    indirect, xnnpack = ("indirect", True), ("xnnpack", True)
    settings = {"Larq": (), "Larq indirect": (indirect,), "Larq indirect, XNNPACK": (indirect, xnnpack)}
    return [
        NetworkEntry(network, "binary", Entry(name, LARQ, "larq", "network_tflite", "binary", ".tflite", options))
        for name, options in settings.items()
    ]


def column(driver: Driver, entry: NetworkEntry, threads: int) -> Column:
    """The column of ``entry``, its model file built; with a reason where that fails."""
    sources = (BUILDERS, *(EXPORTER if entry.program.form == "bittern" else (NETWORKS,)))
    name = f"{entry.name}, {threads} thread{'s' if threads > 1 else ''}"
    subject = {"network": entry.network}
    return build_column(driver, entry.program, subject, stem=entry.network, sources=sources, name=name, threads=threads)
