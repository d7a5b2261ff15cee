"""Operators of the `bittern` namespace: `binarize` for training, and those that deployed programs consist of.

Importing this package registers all of them with torch.
"""

import bittern._torch  # noqa: F401
from bittern.ops import channels as channels
from bittern.ops import conv2d as conv2d
from bittern.ops import conv2d_weight_only as conv2d_weight_only
from bittern.ops import linear as linear
from bittern.ops import linear_weight_only as linear_weight_only
from bittern.ops import max_pool2d as max_pool2d
from bittern.ops import pack as pack
from bittern.ops.binarize import binarize as binarize
