"""Views of Bittern's operators: `pack`, and the packed layers in all their output forms."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload

import bittern.ops  # noqa: F401  registers the operators
from bittern.export.graph import arguments
from bittern.export.passes.views.aten import call_of
from bittern.ops import epilogue
from bittern.ops.conv2d import Geometry

PACK: OpOverload = torch.ops.bittern.pack.default
NEGATE: OpOverload = torch.ops.bittern.negate.default


@dataclass(frozen=True)
class Pack:
    """``pack(input, threshold)`` along ``channel_dim``, 1 (images) or -1 (rows); threshold None: 0."""

    node: fx.Node
    input: fx.Node
    threshold: fx.Node | None
    channel_dim: int

    @staticmethod
    def match(node: object) -> "Pack | None":
        if (found := call_of(node, PACK)) is None:
            return None
        call, named = found
        return Pack(call, named["x"], named["threshold"], named["channel_dim"])


@dataclass(frozen=True)
class LayerForms:
    """The operators of one packed layer: its float result, its bits, both; its bits by an integer threshold, if it has
    integers; ``channel_dim`` of the float result.
    """

    value: OpOverload
    packed: OpOverload
    float_packed: OpOverload
    threshold: OpOverload | None
    channel_dim: int

    @property
    def operators(self) -> tuple[OpOverload, ...]:
        forms = (self.value, self.packed, self.float_packed, self.threshold)
        return tuple(form for form in forms if form is not None)


def _forms(name: str, channel_dim: int, *, integers: bool) -> LayerForms:
    value, packed, float_packed = (
        getattr(torch.ops.bittern, f"{name}{form}").default for form in ("", "_packed", "_float_packed")
    )
    threshold = getattr(torch.ops.bittern, f"{name}_threshold").default if integers else None
    return LayerForms(value, packed, float_packed, threshold, channel_dim)


LAYERS = (
    _forms("conv2d", 1, integers=True),
    _forms("linear", -1, integers=True),
    _forms("conv2d_weight_only", 1, integers=False),
    _forms("linear_weight_only", -1, integers=False),
)
PACKED_CONV2D, PACKED_LINEAR, PACKED_CONV2D_WEIGHT_ONLY, PACKED_LINEAR_WEIGHT_ONLY = LAYERS
_FORMS_OF: dict[Any, LayerForms] = {operator: forms for forms in LAYERS for operator in forms.operators}


@dataclass(frozen=True)
class PackedLayer:
    """A convolution or linear layer on packed weights, in any output form.

    ``geometry``: a linear layer is a 1x1 convolution of one pixel. ``epilogue``: the fields in use, numbers or nodes,
    by name and in the order of `bittern.ops.epilogue.FIELDS`. ``threshold``: of the bits; None: 0, or no bits.
    """

    node: fx.Node
    forms: LayerForms
    input: fx.Node
    weight: fx.Node
    geometry: Geometry
    epilogue: dict[str, Any]
    threshold: fx.Node | None

    @staticmethod
    def match(node: object) -> "PackedLayer | None":
        if not isinstance(node, fx.Node) or (forms := _FORMS_OF.get(node.target)) is None:
            return None
        named = arguments(node)
        steps = {name: named[name] for name in epilogue.FIELDS if named.get(name) is not None}
        return PackedLayer(node, forms, named["x"], named["weight"], _geometry(named), steps, named.get("threshold"))

    @staticmethod
    def match_float(node: object) -> "PackedLayer | None":
        """Of a layer whose one result is float."""
        layer = PackedLayer.match(node)
        return layer if layer is not None and layer.node.target is layer.forms.value else None

    @property
    def channel_dim(self) -> int:
        return self.forms.channel_dim

    @property
    def channels(self) -> int:
        return self.geometry.out_channels


def _geometry(named: dict[str, Any]) -> Geometry:
    if "in_features" in named:
        return Geometry(named["in_features"], named["out_features"], (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1, 0)
    return Geometry.of(named[field.name] for field in fields(Geometry))
