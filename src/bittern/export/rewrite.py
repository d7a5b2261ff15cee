"""From the training graph to the deployed graph."""

from bittern.export import passes
from bittern.export.capture import Captured
from bittern.export.deployed import Deployed, describe
from bittern.export.passes.signs import BINARIZE


def rewrite(captured: Captured) -> Deployed:
    """Runs all passes (`bittern.export.passes.PIPELINE`) on a copy of the training graph.

    Raises:
        ExportError: a pass fails; the message names it.
    """
    graph = captured.graph.copy()
    passes.run(graph)
    for node in graph.calls(BINARIZE):  # computed in float, because some reader needs floats
        graph.refuse(node, f"read as float by {', '.join(user.name for user in node.users)}")
    return describe(captured, graph)
