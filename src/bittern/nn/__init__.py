"""Layers of binary networks: each is the torch layer with one change, and trains with any torch loop.

Exporting needs none of these classes: a module of your own that calls ``bittern.ops.binarize`` converts as well.
"""

from bittern.nn.conv import BinaryConv2d as BinaryConv2d
from bittern.nn.linear import BinaryLinear as BinaryLinear
from bittern.nn.rprelu import RPReLU as RPReLU
from bittern.nn.rsign import RSign as RSign
