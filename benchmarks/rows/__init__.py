"""What was measured: one dataclass a CSV file, and how the files are read and written."""

from benchmarks.rows.cpus import cpu_folder as cpu_folder
from benchmarks.rows.cpus import cpu_folders as cpu_folders
from benchmarks.rows.cpus import cpu_title as cpu_title
from benchmarks.rows.csv_files import RESULTS as RESULTS
from benchmarks.rows.csv_files import Stamp as Stamp
from benchmarks.rows.csv_files import Stamped as Stamped
from benchmarks.rows.csv_files import read as read
from benchmarks.rows.csv_files import write as write
from benchmarks.rows.speed import NO_SHORTCUTS as NO_SHORTCUTS
from benchmarks.rows.speed import ONES as ONES
from benchmarks.rows.speed import ZEROS as ZEROS
from benchmarks.rows.speed import ChoiceRow as ChoiceRow
from benchmarks.rows.speed import DemoRow as DemoRow
from benchmarks.rows.speed import KernelRow as KernelRow
from benchmarks.rows.speed import LayerRow as LayerRow
from benchmarks.rows.speed import MacsRow as MacsRow
from benchmarks.rows.speed import MemoryRow as MemoryRow
from benchmarks.rows.speed import NetworkRow as NetworkRow
from benchmarks.rows.speed import ProofRow as ProofRow
from benchmarks.rows.speed import SplitRow as SplitRow
from benchmarks.rows.training import CurveRow as CurveRow
from benchmarks.rows.training import EpochRow as EpochRow
from benchmarks.rows.training import FigureRow as FigureRow
from benchmarks.rows.training import StepRow as StepRow
from benchmarks.rows.training import TrainingRow as TrainingRow
from benchmarks.rows.training import TuningRow as TuningRow
