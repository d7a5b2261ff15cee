"""Export of trained modules to ExecuTorch programs with bit-packed layers, and proof that they do the same."""

from bittern.export.errors import ExportError as ExportError
from bittern.export.errors import ExportWarning as ExportWarning
from bittern.export.explain import Explanation as Explanation
from bittern.export.program import Export as Export
from bittern.export.program import deployed_graph as deployed_graph
from bittern.export.program import to_pte as to_pte
from bittern.export.verification import Verification as Verification
from bittern.export.verify import verify as verify
from bittern.export.verify import verify_reference as verify_reference
