"""Another revision of Bittern, from the tree that BITTERN_COMPARE_TREE names: exports and runs with its own package."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.compare_worker import network
from benchmarks.engines.timed import Timed, TimedFunction


def load(path: Path, threads: int, options: dict[str, Any]) -> Timed:
    """``path`` is a name of `compare_worker.SUBJECTS`."""
    # The editable installation's finder would give this tree's package instead.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "ScikitBuild" not in type(finder).__name__]
    source = str(Path(os.environ["BITTERN_COMPARE_TREE"], "src"))
    if source not in sys.path:
        sys.path.insert(0, source)
    import torch

    import bittern
    from bittern.export import to_pte
    from bittern.runtime import load as load_engine

    if not str(bittern.__file__).startswith(source):
        raise RuntimeError(f"bittern comes from {bittern.__file__}, not from {source}")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    module, shape = network(str(path))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.pte")
        to_pte(module.eval(), torch.randn(shape), file)
        engine = load_engine(file, threads=threads)
    images = torch.randn(shape).to(memory_format=torch.channels_last).numpy()
    return TimedFunction(lambda: engine(images))
