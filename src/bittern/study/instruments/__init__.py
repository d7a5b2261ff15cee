"""The instruments by name, each a small class with its equations, units and source."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from bittern._distributed import world_size
from bittern._lookup import find
from bittern.study.instruments.base import Instrument as Instrument
from bittern.study.instruments.base import Measure as Measure
from bittern.study.instruments.channels import Channels
from bittern.study.instruments.correlation import Correlation
from bittern.study.instruments.dead_weights import DeadWeights
from bittern.study.instruments.flips import Flips
from bittern.study.instruments.latent import Latent
from bittern.study.instruments.magnitudes import Gradients, LatentMagnitudes, Moments, Updates
from bittern.study.instruments.mismatch import Loss, Mismatch
from bittern.study.instruments.quantization import Quantization
from bittern.study.instruments.saturation import Saturation

INSTRUMENTS: dict[str, type[Instrument]] = {
    row.name: row
    for row in (
        Saturation,
        Channels,
        DeadWeights,
        Gradients,
        Moments,
        Updates,
        LatentMagnitudes,
        Latent,
        Flips,
        Correlation,
        Quantization,
        Mismatch,
    )
}

MEASURES = {measure.name: measure for row in INSTRUMENTS.values() for measure in row.measures}
INSTRUMENT_OF = {measure.name: row for row in INSTRUMENTS.values() for measure in row.measures}
"""Name of a measure -> the instrument that reads it."""


def list_instruments() -> list[str]:
    """Every name that ``watch`` knows, in the order of the report."""
    return list(INSTRUMENTS)


def get_instrument(name: str) -> type[Instrument]:
    """The instrument called ``name``; ValueError with the known names and the nearest if there is none."""
    return find("instrument", name, INSTRUMENTS)


def build_instruments(
    chosen: Sequence[str | Instrument] | None,
    model: nn.Module,
    probe: Loss | None,
    references: Mapping[str, Mapping[str, Tensor]] | None,
) -> list[Instrument]:
    """The instruments of a watch on ``model``; for None those that need nothing more, and ``mismatch`` with a probe.

    Raises:
        ValueError: an unknown name, ``mismatch`` without ``probe``, or a probe in several processes.
    """
    if chosen is None:
        chosen = [name for name, row in INSTRUMENTS.items() if row.default or (row is Mismatch and probe is not None)]
    special: dict[str, Callable[[], Instrument]] = {Correlation.name: lambda: Correlation(references)}
    if probe is not None:
        loss = probe
        special[Mismatch.name] = lambda: Mismatch(model, loss)
    elif Mismatch.name in chosen:
        raise ValueError(f"instrument {Mismatch.name!r} needs probe, the loss of the model on one fixed batch")
    built = [one if isinstance(one, Instrument) else special.get(one, get_instrument(one))() for one in chosen]
    if world_size() > 1 and any(isinstance(instrument, Mismatch) for instrument in built):
        raise ValueError(
            f"probe needs training in one process, not {world_size()}: the others would not take part in its passes; "
            "leave it out, and call study.agreement on a checkpoint in a separate process"
        )
    return built
