"""See why it trains: instruments that watch a training run, and the report on what they saw.

``watch`` is for any PyTorch loop, ``TrainingObserver`` for ``bittern.train``.
"""

from typing import TYPE_CHECKING, Any

import bittern._torch  # noqa: F401
from bittern.study.errors import StudyError as StudyError
from bittern.study.instruments import Instrument as Instrument
from bittern.study.instruments import Measure as Measure
from bittern.study.instruments import get_instrument as get_instrument
from bittern.study.instruments import list_instruments as list_instruments
from bittern.study.instruments.correlation import c2i as c2i
from bittern.study.instruments.flips import flip_rate as flip_rate
from bittern.study.instruments.mismatch import agreement as agreement
from bittern.study.instruments.quantization import quantization_error as quantization_error
from bittern.study.layers import latent_weights as latent_weights
from bittern.study.watch import Watch as Watch
from bittern.study.watch import watch as watch

if TYPE_CHECKING:
    from bittern.study.observer import TrainingObserver as TrainingObserver


def __getattr__(name: str) -> Any:
    if name == "TrainingObserver":  # the only one that needs bittern.train
        from bittern.study.observer import TrainingObserver

        return TrainingObserver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
