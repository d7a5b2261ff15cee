"""Architectures by name: ``create("digits-resnet")``, ``list_models()``. `bittern.export.summary` has their costs."""

import bittern._torch  # noqa: F401
from bittern.models import bi_real_net as bi_real_net
from bittern.models import binary_alexnet as binary_alexnet
from bittern.models import binary_densenet as binary_densenet
from bittern.models import binary_resnet_e as binary_resnet_e
from bittern.models import binarynet as binarynet
from bittern.models import bnext as bnext
from bittern.models import dorefanet as dorefanet
from bittern.models import meliusnet as meliusnet
from bittern.models import quicknet as quicknet
from bittern.models import react_resnet as react_resnet
from bittern.models import reactnet as reactnet
from bittern.models import real_to_binary as real_to_binary
from bittern.models import transformer as transformer
from bittern.models import xnor_net as xnor_net
from bittern.models.precision import PRECISIONS as PRECISIONS
from bittern.models.precision import Precision as Precision
from bittern.models.registry import Facts as Facts
from bittern.models.registry import ModelInfo as ModelInfo
from bittern.models.registry import create as create
from bittern.models.registry import get_model as get_model
from bittern.models.registry import list_models as list_models
from bittern.models.registry import register_model as register_model
