"""QuickNet in Keras as Larq Compute Engine converts it: the architecture of bittern.models.quicknet."""

from pathlib import Path
from typing import Any

import larq
import larq_compute_engine
import numpy as np
import tensorflow as tf

_SIZES = {
    "quicknet-small": ((32, 64, 256, 512), (4, 4, 4, 4)),
    "quicknet": ((64, 128, 256, 512), (4, 4, 4, 4)),
    "quicknet-large": ((64, 128, 256, 512), (6, 8, 12, 6)),
}
layers = tf.keras.layers


def _block(x: Any) -> Any:
    convolution = larq.layers.QuantConv2D(
        x.shape[-1],
        3,
        padding="same",
        pad_values=1.0,
        activation="relu",
        input_quantizer=larq.quantizers.SteSign(1.25),
        kernel_quantizer=larq.quantizers.SteSign(1.25),
        kernel_constraint=larq.constraints.WeightClip(1.25),
        use_bias=False,
    )
    return layers.add([x, layers.BatchNormalization(epsilon=1e-5)(convolution(x))])


def _transition(x: Any, filters: int) -> Any:
    x = layers.MaxPool2D(2, 1)(layers.ReLU()(x))
    binomial = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32) / 16
    blur = np.repeat(binomial[:, :, None, None], x.shape[-1], axis=2)
    x = layers.DepthwiseConv2D(
        3, 2, padding="same", use_bias=False, depthwise_initializer=tf.keras.initializers.Constant(blur)
    )(x)
    return layers.BatchNormalization(epsilon=1e-5)(layers.Conv2D(filters, 1, use_bias=False)(x))


def build(subject: dict[str, Any], path: Path) -> None:
    widths, depths = _SIZES[subject["network"]]
    image = tf.keras.Input((224, 224, 3), batch_size=1)
    x = layers.Conv2D(widths[0] // 4, 3, 2, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, 2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(scale=False, center=False)(x)
    x = layers.BatchNormalization()(layers.Conv2D(widths[0], 1, use_bias=False)(x))
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        x = _transition(x, width) if stage > 0 else x
        for _ in range(depth):
            x = _block(x)
    x = layers.Flatten()(layers.AveragePooling2D(x.shape[1])(layers.ReLU()(x)))
    model = tf.keras.Model(image, layers.Softmax()(layers.Dense(1000)(x)))
    path.write_bytes(larq_compute_engine.convert_keras_model(model))
