"""Layers of binary networks: each is a torch layer with one change, and trains in any torch loop.

The exporter does not depend on these classes: your own module that calls ``bittern.ops.binarize`` exports as well.
"""

import bittern._torch  # noqa: F401
from bittern.nn.conv import BinaryConv1d as BinaryConv1d
from bittern.nn.conv import BinaryConv2d as BinaryConv2d
from bittern.nn.conv_transpose import BinaryConvTranspose2d as BinaryConvTranspose2d
from bittern.nn.gate import Gate as Gate
from bittern.nn.linear import BinaryLinear as BinaryLinear
from bittern.nn.norm import UnscaledBatchNorm1d as UnscaledBatchNorm1d
from bittern.nn.norm import UnscaledBatchNorm2d as UnscaledBatchNorm2d
from bittern.nn.progress import set_progress as set_progress
from bittern.nn.quantize import DoReFaActivation as DoReFaActivation
from bittern.nn.quantize import DoReFaWeight as DoReFaWeight
from bittern.nn.rprelu import RPReLU as RPReLU
from bittern.nn.rsign import RSign as RSign
from bittern.nn.same import Conv2dSame as Conv2dSame
from bittern.nn.same import MaxPool2dSame as MaxPool2dSame
from bittern.nn.same import same_padding as same_padding
from bittern.nn.scale import FactoredScale as FactoredScale
from bittern.nn.steps import AdaBinSign as AdaBinSign
from bittern.nn.steps import MagnitudeAwareSign as MagnitudeAwareSign
from bittern.nn.steps import SteHeaviside as SteHeaviside
from bittern.nn.steps import SteTern as SteTern
from bittern.nn.sync_norm import SyncedBatchNorm as SyncedBatchNorm
