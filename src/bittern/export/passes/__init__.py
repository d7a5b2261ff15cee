"""From the training graph to the deployed graph: the passes, in the order in which they run."""

from collections.abc import Callable

from bittern.export.errors import ExportError
from bittern.export.graph import Graph
from bittern.export.passes.absorb_epilogue import absorb_epilogue
from bittern.export.passes.cancel_residues import cancel_residues
from bittern.export.passes.distribute_pack import distribute_pack
from bittern.export.passes.distribute_steps import distribute_steps
from bittern.export.passes.fold_batch_norm import fold_batch_norm
from bittern.export.passes.fold_constants import fold_constants
from bittern.export.passes.fuse_pack import fuse_pack
from bittern.export.passes.integer_thresholds import integer_thresholds
from bittern.export.passes.lower_layers import lower_layers
from bittern.export.passes.lower_max_pool import lower_max_pool
from bittern.export.passes.lower_positive_signs import lower_positive_signs
from bittern.export.passes.lower_weight_only import lower_weight_only
from bittern.export.passes.merge_concats import merge_concats
from bittern.export.passes.pack_before_interleave import pack_before_interleave
from bittern.export.passes.pack_before_slice import pack_before_slice
from bittern.export.passes.recognise_clamps import recognise_clamps
from bittern.export.passes.recognise_signs import recognise_signs
from bittern.export.passes.remove_copies import remove_copies
from bittern.export.passes.rewrite_alpha import rewrite_alpha
from bittern.export.passes.rewrite_attention import rewrite_attention
from bittern.export.passes.rewrite_batch_norm import rewrite_batch_norm
from bittern.export.passes.rewrite_clamp import rewrite_clamp
from bittern.export.passes.rewrite_gelu import rewrite_gelu
from bittern.export.passes.rewrite_interpolate import rewrite_interpolate
from bittern.export.passes.rewrite_layer_norm import rewrite_layer_norm
from bittern.export.passes.rewrite_matmul import rewrite_matmul
from bittern.export.passes.rewrite_max import rewrite_max
from bittern.export.passes.rewrite_nearest import rewrite_nearest
from bittern.export.passes.rewrite_pad import rewrite_pad
from bittern.export.passes.rewrite_pooling import rewrite_pooling
from bittern.export.passes.rewrite_prelu import rewrite_prelu
from bittern.export.passes.rewrite_products import rewrite_products
from bittern.export.passes.rewrite_round import rewrite_round
from bittern.export.passes.rewrite_scalars import rewrite_scalars
from bittern.export.passes.rewrite_softmax import rewrite_softmax
from bittern.export.passes.rewrite_split import rewrite_split
from bittern.export.passes.rewrite_strided_slice import rewrite_strided_slice
from bittern.export.passes.separate_weights import separate_weights
from bittern.export.passes.settle_views import settle_views
from bittern.export.passes.sink_binarize import sink_binarize
from bittern.export.passes.sink_scales import sink_scales
from bittern.export.passes.slice_concat import slice_concat
from bittern.export.passes.split_conv_transpose import split_conv_transpose
from bittern.export.passes.split_sets import split_sets
from bittern.export.passes.unwrap_batch_norm import unwrap_batch_norm
from bittern.export.passes.widen_conv1d import widen_conv1d
from bittern.export.refusals import first_line

PIPELINE: tuple[Callable[[Graph], None], ...] = (
    remove_copies,
    rewrite_scalars,
    cancel_residues,
    rewrite_alpha,
    fold_constants,
    rewrite_pad,
    rewrite_products,
    unwrap_batch_norm,
    recognise_clamps,
    recognise_signs,
    fold_batch_norm,
    widen_conv1d,
    rewrite_pooling,
    rewrite_nearest,
    rewrite_split,
    slice_concat,
    sink_scales,
    sink_binarize,
    split_conv_transpose,
    split_sets,
    lower_layers,
    lower_weight_only,
    lower_max_pool,
    distribute_steps,
    absorb_epilogue,
    distribute_pack,
    pack_before_interleave,
    pack_before_slice,
    merge_concats,
    fuse_pack,
    integer_thresholds,
    lower_positive_signs,
    rewrite_clamp,
    rewrite_gelu,
    rewrite_interpolate,
    rewrite_attention,
    rewrite_batch_norm,
    rewrite_layer_norm,
    rewrite_matmul,
    rewrite_prelu,
    rewrite_round,
    separate_weights,
    rewrite_strided_slice,
    rewrite_max,
    rewrite_softmax,
    settle_views,
)


def run(graph: Graph) -> None:
    """Runs all passes, and removes what each left unused; the graph can be called afterwards.

    Raises:
        ExportError: a pass fails; the message names it.
    """
    for step in PIPELINE:
        try:
            step(graph)
            graph.sweep()
        except ExportError:
            raise
        except Exception as error:
            raise ExportError(
                f"{step.__name__}, a pass of the exporter, fails on this model: {first_line(error)}. "
                "That is a bug in Bittern: report it with the model's code"
            ) from error
    graph.clean()
