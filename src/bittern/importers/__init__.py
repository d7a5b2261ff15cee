"""Networks that others trained: ``import_checkpoint(file)`` reads one, ``save_imported`` writes it as a run folder."""

import bittern._torch  # noqa: F401
from bittern.importers.convert import Imported as Imported
from bittern.importers.convert import import_checkpoint as import_checkpoint
from bittern.importers.convert import save_imported as save_imported
from bittern.importers.errors import CheckpointError as CheckpointError
from bittern.importers.recognise import SOURCES as SOURCES
from bittern.importers.source import Source as Source
