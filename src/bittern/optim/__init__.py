"""Optimizers of binary networks: torch optimizers, each a class and a pure function, and what goes with them.

On latent weights: ``LatentSGD``, ``LatentAdam``, ``BAMSProd`` (a reconstruction). On weights of -1 and +1: ``Bop``,
``Bop2ndOrder``, ``CEMA``, ``Diode``.
"""

import bittern._torch  # noqa: F401
from bittern.optim.bamsprod import BAMSProd as BAMSProd
from bittern.optim.bamsprod import bamsprod as bamsprod
from bittern.optim.bop import Bop as Bop
from bittern.optim.bop import bop as bop
from bittern.optim.bop2ndorder import Bop2ndOrder as Bop2ndOrder
from bittern.optim.bop2ndorder import bop2ndorder as bop2ndorder
from bittern.optim.case import CaseOptimizer as CaseOptimizer
from bittern.optim.cema import CEMA as CEMA
from bittern.optim.cema import cema as cema
from bittern.optim.diode import Diode as Diode
from bittern.optim.diode import diode as diode
from bittern.optim.groups import ParameterSplit as ParameterSplit
from bittern.optim.groups import split_parameters as split_parameters
from bittern.optim.latent import LatentAdam as LatentAdam
from bittern.optim.latent import LatentSGD as LatentSGD
from bittern.optim.registry import OPTIMIZERS as OPTIMIZERS
from bittern.optim.registry import OptimizerInfo as OptimizerInfo
from bittern.optim.registry import create_optimizer as create_optimizer
from bittern.optim.registry import get_optimizer as get_optimizer
from bittern.optim.registry import list_optimizers as list_optimizers
from bittern.optim.schedules import SCHEDULES as SCHEDULES
from bittern.optim.schedules import HyperparameterScheduler as HyperparameterScheduler
from bittern.optim.schedules import Schedule as Schedule
from bittern.optim.schedules import Warmup as Warmup
from bittern.optim.schedules import get_schedule as get_schedule
from bittern.optim.schedules import list_schedules as list_schedules
