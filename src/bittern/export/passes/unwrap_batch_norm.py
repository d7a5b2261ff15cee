"""BatchNorm of constants as a call with one result.

The captured call gives a tuple, of which the first value alone is read in evaluation mode. BatchNorm whose statistics,
scale or shift are computed from the input is left alone, and no other pass touches it.
"""

import operator

from bittern.export.graph import Graph, Provenance, arguments
from bittern.export.passes.views.aten import BATCH_NORM, NATIVE_BATCH_NORM


def unwrap_batch_norm(graph: Graph) -> None:
    for norm in graph.calls(NATIVE_BATCH_NORM):
        if graph.why_not_constant(norm, "weight", "bias", "running_mean", "running_var") is not None:
            continue
        named = arguments(norm)
        operands = (named[name] for name in ("input", "weight", "bias", "running_mean", "running_var"))
        args = (*operands, False, named["momentum"], named["eps"], False)
        for result in list(norm.users):
            if result.target is operator.getitem and result.args[1] == 0:
                own = Provenance.of(norm)
                provenance = Provenance(own.sources, own.path, Provenance.of(result).outputs)
                graph.replace(result, graph.call(result, BATCH_NORM, args, provenance))
