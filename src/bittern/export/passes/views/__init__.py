"""Typed views of the operator calls that passes look for, so that a rewrite reads names instead of argument positions.

``View.match(node)`` takes any value that may stand in a graph and returns None unless it is such a call. A view is a
snapshot: match again after rewriting the node.
"""

from bittern.export.passes.views.aten import Arithmetic as Arithmetic
from bittern.export.passes.views.aten import BatchNorm as BatchNorm
from bittern.export.passes.views.aten import Clamp as Clamp
from bittern.export.passes.views.aten import Concat as Concat
from bittern.export.passes.views.aten import ConvLayer as ConvLayer
from bittern.export.passes.views.aten import Layer as Layer
from bittern.export.passes.views.aten import LinearLayer as LinearLayer
from bittern.export.passes.views.aten import MaxPool2d as MaxPool2d
from bittern.export.passes.views.aten import Pad as Pad
from bittern.export.passes.views.aten import PaddedInput as PaddedInput
from bittern.export.passes.views.aten import PRelu as PRelu
from bittern.export.passes.views.aten import Slice as Slice
from bittern.export.passes.views.aten import match_layer as match_layer
from bittern.export.passes.views.aten import matching as matching
from bittern.export.passes.views.interleave import Interleave as Interleave
from bittern.export.passes.views.packed import LayerForms as LayerForms
from bittern.export.passes.views.packed import Pack as Pack
from bittern.export.passes.views.packed import PackedLayer as PackedLayer
