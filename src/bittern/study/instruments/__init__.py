"""The instruments by name, each a small class with its equations, units and source."""

from bittern._lookup import find
from bittern.study.instruments.base import Instrument as Instrument
from bittern.study.instruments.base import Measure as Measure
from bittern.study.instruments.channels import Channels
from bittern.study.instruments.dead_weights import DeadWeights
from bittern.study.instruments.flips import Correlation, Flips
from bittern.study.instruments.latent import Latent
from bittern.study.instruments.magnitudes import Gradients, LatentMagnitudes, Moments, Updates
from bittern.study.instruments.mismatch import Mismatch
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


def list_instruments() -> list[str]:
    """Every name that ``watch`` knows, in the order of the report."""
    return list(INSTRUMENTS)


def get_instrument(name: str) -> type[Instrument]:
    """The instrument called ``name``; ValueError with the known names and the nearest if there is none."""
    return find("instrument", name, INSTRUMENTS)
