"""Another revision of Bittern, from the tree that BITTERN_COMPARE_TREE names: exports and runs with its own package."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure.engines.timed import Timed, TimedFunction

SUBJECTS: dict[str, tuple[int, int, int, int]] = {
    f"{kernel}x{kernel}, {size}x{size}x{channels}, stride {stride}": (size, channels, kernel, stride)
    for kernel, stride in ((3, 1), (3, 2), (1, 1))
    for size, channels in ((56, 64), (28, 128), (14, 256), (7, 512))
} | {"quicknet": (224, 3, 0, 0)}
"""Name -> size and channels of the input, kernel, stride; kernel 0: the network of that name."""


def load(path: Path, threads: int, options: dict[str, Any]) -> Timed:
    """``path`` is a name of `SUBJECTS`."""
    # The editable installation's finder would return this tree's package instead.
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
    module, shape = _subject(str(path))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.pte")
        to_pte(module.eval(), torch.randn(shape), file)
        engine = load_engine(file, threads=threads)
    images = torch.randn(shape).to(memory_format=torch.channels_last).numpy()
    return TimedFunction(lambda: engine(images))


def _subject(name: str) -> tuple[Any, tuple[int, int, int, int]]:
    """The module, a layer with its BatchNorm or a network, and the shape of its input, from the imported package."""
    from torch import nn

    from bittern.nn import BinaryConv2d

    size, channels, kernel, stride = SUBJECTS[name]
    shape = (1, channels, size, size)
    if kernel == 0:
        from bittern.models import create

        return create(name), shape
    layer = BinaryConv2d(channels, channels, kernel, stride, padding=kernel // 2, pad_value=1 if kernel > 1 else 0)
    return nn.Sequential(layer, nn.BatchNorm2d(channels)), shape
