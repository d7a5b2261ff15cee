"""The registry of data sets."""

from dataclasses import replace
from pathlib import Path

from bittern._image_geometry import STRETCH, ImageGeometry
from bittern._lookup import OWN, find
from bittern._preprocessing import IMAGENET_PIXELS
from bittern.data.cifar10 import CIFAR10, CIFAR10_HELD_OUT
from bittern.data.dataset import SPLITS, Dataset, DatasetInfo, ImageSource, Split
from bittern.data.digits import DIGITS
from bittern.data.errors import DataError
from bittern.data.images import index_images
from bittern.data.samples import Progress
from bittern.data.shards import index_shards
from bittern.data.stream import Stream, default_workers

IMAGES = DatasetInfo(
    name="images",
    class_names=(),
    input_shape=(3, 224, 224),
    preprocessing=IMAGENET_PIXELS,
    needs_folder=True,
    index=index_images,
    description="any images in a folder for each class, streamed; ImageNet's preprocessing",
    source="train/CLASS/*.jpg and test/CLASS/*.jpg or val/CLASS/*.jpg",
)

IMAGE_SHARDS = DatasetInfo(
    name="image-shards",
    class_names=(),
    input_shape=(3, 224, 224),
    preprocessing=IMAGENET_PIXELS,
    needs_folder=True,
    index=index_shards,
    keeps_index=True,
    description="any images in tar shards, streamed; ImageNet's preprocessing",
    source="train-000000.tar ... and test-000000.tar ... or val-000000.tar ... in WebDataset's layout",
)

_DATASETS: dict[str, DatasetInfo] = {row.name: row for row in (CIFAR10, CIFAR10_HELD_OUT, DIGITS, IMAGE_SHARDS, IMAGES)}


def list_datasets() -> list[str]:
    """Every name that ``open_dataset`` knows, sorted."""
    return sorted(_DATASETS)


def get_dataset(name: str) -> DatasetInfo:
    """The row of ``name``; ValueError with the known names and the nearest one if there is none."""
    return find("data set", name, _DATASETS, OWN)


def register_dataset(info: DatasetInfo) -> None:
    """Makes ``info`` known by its name, to `open_dataset`, recipes and commands; ValueError if the name is taken."""
    if info.name in _DATASETS:
        raise ValueError(f"a data set called {info.name!r} exists already; choose another name")
    if (info.load is None) == (info.index is None):
        raise ValueError(f"data set {info.name!r} needs either load (into memory) or index (streamed)")
    _DATASETS[info.name] = info


def open_dataset(
    name: str,
    folder: str | Path | None = None,
    *,
    image_size: int | None = None,
    workers: int | None = None,
    splits: tuple[str, ...] = SPLITS,
    geometry: ImageGeometry | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Data set ``name`` from ``folder``: decoded into memory or, if it is streamed, indexed.

    Args:
        image_size: height and width of the images of a streamed set; None takes 224.
        workers: decoding processes of each running epoch; None takes one for each CPU of this rank.
        geometry: of the images of a streamed set, outside of training; None takes that of its preprocessing.

    Raises:
        DataError: the folder is missing, empty, incomplete or holds something else. All files are checked before any
            is decoded.
        ValueError: an unknown name, or an argument that does not fit the data set.
    """
    info = get_dataset(name)
    for split in splits:
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(map(repr, SPLITS))}, got {split!r}")
    path = _checked_folder(info, folder)
    if info.load is not None:
        if image_size not in (None, info.input_shape[1]):
            raise ValueError(
                f"image_size must be {info.input_shape[1]} for {name!r}, whose images have that size, got {image_size}"
            )
        return Dataset(info, info.load(path, splits, progress))
    assert info.index is not None
    assert path is not None
    side = info.input_shape[1] if image_size is None else image_size
    count = default_workers() if workers is None else workers
    for what, value in (("image_size", side), ("workers", count)):
        if value < 1:
            raise ValueError(f"{what} must be at least 1, got {value}")
    listing = info.index(path, splits, progress)
    rule = info.preprocessing if geometry is None else replace(info.preprocessing, geometry=geometry)
    streams: dict[str, ImageSource] = {
        split: Stream(samples, side, training=split == "train", workers=count, geometry=rule.geometry or STRETCH)
        for split, samples in listing.splits.items()
    }
    described = replace(info, class_names=listing.class_names, input_shape=(3, side, side), preprocessing=rule)
    return Dataset(described, streams)


def load(
    name: str,
    folder: str | Path | None = None,
    splits: tuple[str, ...] = SPLITS,
    progress: Progress | None = None,
) -> dict[str, Split]:
    """The splits of data set ``name`` from ``folder``, decoded into memory.

    Raises:
        DataError: as `open_dataset`.
        ValueError: as `open_dataset`, or the data set is streamed.
    """
    if get_dataset(name).streamed:
        raise ValueError(
            f"data set {name!r} is streamed, not loaded into memory: open it with bittern.data.open_dataset"
        )
    opened = open_dataset(name, folder, splits=splits, progress=progress).splits
    return {split: source for split, source in opened.items() if isinstance(source, Split)}


def _checked_folder(info: DatasetInfo, folder: str | Path | None) -> Path | None:
    if not info.needs_folder:
        return None
    if folder is None:
        raise DataError(f"data set {info.name!r} is read from a folder: pass it (--data DIR)")
    path = Path(folder)
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise DataError(f"data folder {path} {what}; {info.name!r} needs a folder with {info.source}")
    return path
