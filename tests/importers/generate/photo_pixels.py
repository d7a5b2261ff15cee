"""Writes what the sources' own code makes of a photo: Larq Zoo's, and torchvision's, which ReActNet and AdamBNN call.

    python3.11 -m venv larq && larq/bin/pip install tensorflow-cpu==2.21.0 pillow
    larq/bin/pip install --no-deps larq-zoo==2.4.0
    larq/bin/python tests/importers/generate/photo_pixels.py larq PHOTO.jpg tests/importers/fixtures
    python tests/importers/generate/photo_pixels.py torchvision PHOTO.jpg tests/importers/fixtures

PHOTO is scikit-learn's ``china.jpg``, 640 x 427; both take it as it is, and turned by a quarter. The last command needs
torch and torchvision 0.29.1. Every eighth row and column of the network's input is kept, as float32 [28, 28, 3].
The first one also writes what TensorFlow's kernels, which Larq Zoo calls, make of a small image.
"""

import sys
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

STEP = 8
SIZES = ((5, 4), (9, 7), (16, 13))


def larq(photo):
    import importlib.util

    # Imported by the zoo for its training scripts alone; without its package, which would need larq.
    for name in ("tensorflow_datasets", "zookeeper", "zookeeper.tf"):
        sys.modules[name] = mock.MagicMock(Preprocessing=object, component=lambda c: c)
    (folder,) = importlib.util.find_spec("larq_zoo").submodule_search_locations
    spec = importlib.util.spec_from_file_location("data", Path(folder) / "training" / "data.py")
    data = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(data)
    return data.preprocess_input(np.asarray(photo).astype(np.float32))


def resizes(path):
    """TensorFlow's two kernels on noise of 9 x 7 pixels, for smaller and larger results: ``bilinear-5x4`` ..."""
    from tensorflow.compat.v1 import image

    pixels = np.random.default_rng(0).integers(0, 256, (1, 9, 7, 3)).astype(np.float32)
    kernels = {"bilinear": image.resize_bilinear, "bicubic": image.resize_bicubic}
    values = {f"{name}-{h}x{w}": f(pixels, [h, w]).numpy()[0] for name, f in kernels.items() for h, w in SIZES}
    np.savez_compressed(path, pixels=pixels[0].astype(np.uint8), **values)


def torchvision(photo):
    import importlib.util
    from types import ModuleType

    # Without the package's own __init__, whose compiled operators fit one version of torch; transforms call none.
    package = ModuleType("torchvision")
    package.__spec__ = importlib.util.find_spec("torchvision")
    package.__path__ = package.__spec__.submodule_search_locations
    sys.modules["torchvision"] = package
    from torchvision import transforms

    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    steps.append(transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]))
    return transforms.Compose(steps)(photo).permute(1, 2, 0).numpy()


if __name__ == "__main__":
    source, path, folder = sys.argv[1:]
    photo = Image.open(path).convert("RGB")
    found = {"landscape": photo, "portrait": photo.transpose(Image.Transpose.ROTATE_90)}
    values = {name: globals()[source](picture)[::STEP, ::STEP].astype(np.float32) for name, picture in found.items()}
    np.savez_compressed(Path(folder) / f"photo-{source}.npz", **values)
    if source == "larq":
        resizes(Path(folder) / "resize-tensorflow.npz")
