"""Layers as Larq Compute Engine converts them; linear as a 1x1 convolution, since it has no binary dense layer."""

from pathlib import Path
from typing import Any

import larq
import larq_compute_engine
import tensorflow as tf

from benchmarks.measure.layers import LayerCase


def build(subject: dict[str, Any], path: Path) -> None:
    layer = LayerCase(**subject["layer"])
    sides = (layer.size, 1) if layer.op == "linear" else (layer.size, layer.size)
    x = tf.keras.Input((*sides, layer.inputs), batch_size=1)
    convolution = larq.layers.QuantConv2D(
        layer.outputs,
        layer.kernel,
        layer.stride,
        padding="same",
        pad_values=1.0,
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
        use_bias=False,
    )
    path.write_bytes(larq_compute_engine.convert_keras_model(tf.keras.Model(x, convolution(x))))
