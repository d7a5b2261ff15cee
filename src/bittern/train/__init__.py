"""Training by recipe: ``run("digits", None, "runs/digits")`` trains, ``load_run("runs/digits")`` reads the result."""

import bittern._torch  # noqa: F401
from bittern.train.errors import RunError as RunError
from bittern.train.errors import TrainingError as TrainingError
from bittern.train.errors import TrainingInterrupted as TrainingInterrupted
from bittern.train.launch import Launch as Launch
from bittern.train.launch import read_launch as read_launch
from bittern.train.observer import Observer as Observer
from bittern.train.position import Position as Position
from bittern.train.progress import Reporter as Reporter
from bittern.train.progress import RichReporter as RichReporter
from bittern.train.recipe import Recipe as Recipe
from bittern.train.recipe import Stage as Stage
from bittern.train.recipes import get_recipe as get_recipe
from bittern.train.recipes import list_recipes as list_recipes
from bittern.train.recipes import register_recipe as register_recipe
from bittern.train.resume import resume as resume
from bittern.train.runner import RunResult as RunResult
from bittern.train.runner import run as run
from bittern.train.runs import Run as Run
from bittern.train.runs import RunInfo as RunInfo
from bittern.train.runs import load_run as load_run
from bittern.train.settings import settings_of as settings_of
from bittern.train.settings import with_overrides as with_overrides
