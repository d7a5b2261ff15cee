"""Export of trained modules to ExecuTorch programs with bit-packed layers, and proof that they do the same.

Each stage is a function from one frozen value to the next; `to_pte` runs them all:

    capture(module, example)     -> Captured     the training graph                             capture.py
    rewrite(captured)            -> Deployed     binary layers on packed bits, by `passes`      rewrite.py, deployed.py
    executorch.lower(deployed)   -> Lowered      the program, and what runs where in it         executorch/
    executorch.write(lowered, card) -> bytes     the model file
    to_c(module, example, folder)                the second back end: the same graph as C99         c/
    verify(module, file, images) -> Verification the file against the module                    verify/

`explain`, `summary` and `predict` only read these values.
"""

import bittern._torch  # noqa: F401
from bittern.export.binary_weights import binary_weights as binary_weights
from bittern.export.c import CExport as CExport
from bittern.export.c import to_c as to_c
from bittern.export.capture import Captured as Captured
from bittern.export.capture import capture as capture
from bittern.export.deployed import Deployed as Deployed
from bittern.export.errors import ExportError as ExportError
from bittern.export.errors import ExportWarning as ExportWarning
from bittern.export.explain import Explanation as Explanation
from bittern.export.latency import Prediction as Prediction
from bittern.export.latency import nearest_rates as nearest_rates
from bittern.export.latency import predict as predict
from bittern.export.rewrite import rewrite as rewrite
from bittern.export.summary import LayerSummary as LayerSummary
from bittern.export.summary import ModelSummary as ModelSummary
from bittern.export.summary import summary as summary
from bittern.export.to_pte import Export as Export
from bittern.export.to_pte import deployed_graph as deployed_graph
from bittern.export.to_pte import to_pte as to_pte
from bittern.export.verify import verify as verify
from bittern.export.verify import verify_reference as verify_reference
from bittern.export.verify.result import LayerCheck as LayerCheck
from bittern.export.verify.result import OutputCheck as OutputCheck
from bittern.export.verify.result import Verification as Verification
