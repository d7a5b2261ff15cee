"""Data sets by name, decoded once into memory: ``load("cifar10", folder)``, and augmentation on tensors."""

from bittern.data import cifar10 as cifar10
from bittern.data import digits as digits
from bittern.data.augment import AUGMENTATIONS as AUGMENTATIONS
from bittern.data.augment import get_augmentation as get_augmentation
from bittern.data.dataset import SPLITS as SPLITS
from bittern.data.dataset import DataError as DataError
from bittern.data.dataset import DatasetInfo as DatasetInfo
from bittern.data.dataset import Preprocessing as Preprocessing
from bittern.data.dataset import Split as Split
from bittern.data.registry import get_dataset as get_dataset
from bittern.data.registry import list_datasets as list_datasets
from bittern.data.registry import load as load
