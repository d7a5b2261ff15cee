"""An imported network with a new last layer, for classes of one's own."""

from dataclasses import replace

import torch

from bittern.importers.convert import Imported
from bittern.importers.errors import CheckpointError
from bittern.models import create

_SEED = 0


def with_new_head(imported: Imported, num_classes: int) -> Imported:
    """The imported network for ``num_classes``: what depends on their number has new random weights, all else is kept.

    The same file gives the same weights. The result has no class names, and is of no data set.

    Raises:
        ValueError: ``num_classes`` is below 1.
        CheckpointError: the network is not one of Bittern's models, and has no form for another number of classes.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    if imported.info.graph is not None:
        raise CheckpointError(
            f"{imported.info.model} is a network of your own, whose last layer is as the file describes it: give it "
            "another one where it was made, and import that"
        )
    info, weights = imported.info, imported.network.state_dict()
    options = {**info.options, "num_classes": num_classes}
    with torch.device("meta"):
        other = create(info.model, **{**options, "num_classes": info.options["num_classes"] + 1}).state_dict()
    head = {name for name, value in weights.items() if other[name].shape != value.shape}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        network = create(info.model, **options).eval()
    network.load_state_dict({name: value for name, value in weights.items() if name not in head}, strict=False)
    warning = f"new and untrained: {', '.join(sorted(head))}; train them on your images before you export"
    own = replace(info, options=options, class_names=None, dataset=None)
    kept = tuple(text for text in imported.warnings if "not the published one" not in text)
    return replace(imported, network=network, info=own, warnings=(*kept, warning))
