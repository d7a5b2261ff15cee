"""Data sets by name, in memory or streamed: ``open_dataset("cifar10", folder)``. Augmentation and mixing of tensors."""

import bittern._torch  # noqa: F401
from bittern._image_geometry import ImageGeometry as ImageGeometry
from bittern._preprocessing import Preprocessing as Preprocessing
from bittern.data import cifar10 as cifar10
from bittern.data import digits as digits
from bittern.data.augment import AUGMENTATIONS as AUGMENTATIONS
from bittern.data.augment import Augmentation as Augmentation
from bittern.data.augment import get_augmentation as get_augmentation
from bittern.data.dataset import SPLITS as SPLITS
from bittern.data.dataset import Dataset as Dataset
from bittern.data.dataset import DatasetInfo as DatasetInfo
from bittern.data.dataset import ImageSource as ImageSource
from bittern.data.dataset import Split as Split
from bittern.data.errors import DataError as DataError
from bittern.data.mixing import cutmix as cutmix
from bittern.data.mixing import mixup as mixup
from bittern.data.registry import get_dataset as get_dataset
from bittern.data.registry import list_datasets as list_datasets
from bittern.data.registry import load as load
from bittern.data.registry import open_dataset as open_dataset
from bittern.data.registry import register_dataset as register_dataset
from bittern.data.stream import Stream as Stream
from bittern.data.torch_dataset import from_torch as from_torch
