"""Writes fixtures of networks as users write them with Keras and Larq, in Larq's environment, without Bittern.

    python3.11 -m venv larq && larq/bin/pip install tensorflow-cpu==2.15.1 larq==0.13.3
    larq/bin/python tests/importers/generate/own_from_keras.py tests/importers/fixtures/own

Each is a file of ``model.save`` (packed), two inputs, and the logits that Keras computes for them.
"""

import lzma
import os
import sys
import tempfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import larq as lq
import numpy as np
import tensorflow as tf
from draw import is_stable

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

K, L, Q = tf.keras, tf.keras.layers, lq.layers
SIGNS = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}


def digits():
    """Larq's tutorial: first layer real, borders cut off, shifts without scales."""
    return K.Sequential(
        [
            Q.QuantConv2D(8, 3, kernel_quantizer="ste_sign", use_bias=False, input_shape=(16, 14, 1)),
            L.MaxPooling2D(),
            L.BatchNormalization(scale=False),
            Q.QuantConv2D(16, 3, use_bias=False, **SIGNS),
            L.BatchNormalization(scale=False),
            L.Flatten(),
            Q.QuantDense(12, use_bias=False, **SIGNS),
            L.BatchNormalization(scale=False),
            Q.QuantDense(10, use_bias=False, **SIGNS),
            L.BatchNormalization(scale=False),
            L.Activation("softmax"),
        ],
        name="digits",
    )


def residual():
    """SAME with stride 2 on even and odd sizes, borders of ones, scaled signs, a gate, averages over borders."""
    image = K.Input((17, 12, 3), name="image")
    x = L.Conv2D(8, 3, strides=2, padding="same", activation="relu", use_bias=False)(image)
    x = L.BatchNormalization()(x)
    for index, strides in enumerate((1, 2)):
        more = {"padding": "same", "strides": strides, "pad_values": float(index)}
        y = Q.QuantConv2D(
            8 * strides, 3, input_quantizer="approx_sign", kernel_quantizer="magnitude_aware_sign", **more
        )(x)
        y = L.PReLU(shared_axes=[1, 2])(L.BatchNormalization(center=index == 0)(y))
        if strides == 2:
            x = L.AveragePooling2D(3, strides=2, padding="same")(x)
            x = L.Concatenate()([x, L.BatchNormalization()(x)])
        x = L.Add()([x, y])
    gate = L.GlobalAveragePooling2D(keepdims=True)(x)
    gate = L.Dense(16, activation="sigmoid")(L.Dense(4, activation="relu")(gate))
    x = L.Dropout(0.3)(L.Multiply()([x, gate]))
    x = L.MaxPooling2D(2, padding="same")(x)
    return K.Model(image, L.Dense(5)(L.GlobalAveragePooling2D()(x)), name="residual")


def mobile():
    """Depthwise, separable, grouped and dilated layers."""
    signs = {"input_quantizer": "ste_sign", "depthwise_quantizer": "ste_sign", "padding": "same"}
    return K.Sequential(
        [
            K.Input((10, 9, 4)),
            L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="relu6"),
            L.BatchNormalization(),
            Q.QuantDepthwiseConv2D(3, strides=2, pad_values=-1.0, depth_multiplier=2, **signs),
            L.BatchNormalization(),
            Q.QuantSeparableConv2D(8, 3, pointwise_quantizer="magnitude_aware_sign", **signs),
            L.BatchNormalization(),
            Q.QuantConv2D(8, (3, 2), groups=2, padding="same", dilation_rate=2, **SIGNS),
            L.BatchNormalization(),
            L.SeparableConv2D(6, 3, depth_multiplier=2),
            L.GlobalMaxPooling2D(),
            L.ReLU(6.0),
            L.Dense(4),
        ],
        name="mobile",
    )


def nested():
    """Models in a model, one called twice; rows of flattened images joined, normalized and multiplied by signs."""
    image = K.Input((6, 5, 3))
    body = K.Sequential(
        [K.Input((6, 5, 4)), L.BatchNormalization(), Q.QuantConv2D(4, 3, padding="same", **SIGNS)], name="body"
    )
    inside = K.Input((6, 5, 4))
    tail = K.Model(inside, L.PReLU()(L.Flatten()(L.MaxPooling2D(2)(inside))), name="tail")
    x = L.Conv2D(4, 1)(image)
    x = body(x) * 0.25 + x
    x = L.BatchNormalization()(body(x) + x)
    rows = L.Concatenate()([tail(x), L.Flatten()(L.AveragePooling2D(2)(x)), L.GlobalAveragePooling2D()(x)])
    rows = Q.QuantDense(9, use_bias=True, **SIGNS)(L.BatchNormalization()(rows))
    return K.Model(image, L.Dense(3, activation="tanh")(L.LeakyReLU(0.1)(rows)), name="nested")


def rows():
    """No images: rows of features, and other quantizers."""
    dorefa = lq.quantizers.DoReFa(1, mode="weights")
    return K.Sequential(
        [
            L.Dense(16, activation="hard_tanh", input_shape=(11,)),
            L.BatchNormalization(),
            Q.QuantDense(16, input_quantizer="swish_sign", kernel_quantizer=dorefa, activation="leaky_tanh"),
            L.GaussianNoise(0.1),
            L.BatchNormalization(),
            Q.QuantDense(16, input_quantizer="ste_heaviside", kernel_quantizer="ste_sign"),
            L.BatchNormalization(),
            Q.QuantDense(
                16,
                input_quantizer=lq.quantizers.DoReFa(1),
                kernel_quantizer=lq.quantizers.DoReFa(2, mode="weights"),
                activation="elu",
            ),
            lq.quantizers.SteSign(),
            Q.QuantDense(7, kernel_quantizer="approx_sign", activation="hard_sigmoid"),
        ],
        name="rows",
    )


def shapes():
    """Borders, enlarging, reshaping, and a flattened image as the output."""
    image = K.Input((5, 7, 2))
    x = L.ZeroPadding2D(((1, 0), (2, 1)))(L.Rescaling(2.0, -0.5)(image))
    x = L.Conv2D(6, (2, 3), strides=(1, 2), activation="swish")(x)
    x = L.UpSampling2D(2)(L.Maximum()([x, L.SpatialDropout2D(0.1)(x) * 0.5]))
    x = Q.QuantConv2D(6, 5, strides=3, padding="same", **SIGNS)(L.BatchNormalization()(x))
    x = L.Reshape((2, 4, 9))(L.ReLU()(x))
    y = L.Reshape((72,))(L.Conv2D(9, 1, activation="selu")(x))
    return K.Model(image, L.Subtract()([L.Flatten()(x), y]), name="shapes")


def draw(model, rng):
    """Sixteenths, few different ones, so that a fixture is small when packed; kernels have no zeros."""
    for weight in model.weights:
        name, shape = weight.name, weight.shape
        if "kernel" in name:
            values = (rng.integers(0, 2, shape) * 2 - 1) * rng.choice([2, 5, 11], shape) / 16
        elif "variance" in name:
            values = rng.integers(8, 40, shape) / 16
        elif "gamma" in name:
            values = rng.choice([-1, 1, 1, 1], shape) * rng.integers(8, 30, shape) / 16
        else:
            values = rng.uniform(-0.7, 0.7, shape)
        weight.assign(values.astype(np.float32))


def write(folder, build):
    for seed in range(100):
        K.backend.clear_session()
        rng = np.random.default_rng(seed)
        model = build()
        draw(model, rng)
        inputs = rng.uniform(-1, 1, (2, *model.input_shape[1:])).astype(np.float32)
        logits = model(inputs, training=False).numpy()
        noise = [inputs * (1 + 1e-6 * rng.standard_normal(inputs.shape)) for _ in range(10)]
        if is_stable(logits, [model(each.astype(np.float32), training=False).numpy() for each in noise]):
            break
    else:
        raise SystemExit(f"{model.name}: a sign is near its threshold with every seed")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.h5"
        model.save(path, include_optimizer=False)
        (folder / f"{model.name}.h5.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9))
    np.savez_compressed(folder / f"{model.name}.npz", inputs=inputs, logits=logits)
    print(model.name, seed, model.count_params(), (folder / f"{model.name}.h5.xz").stat().st_size)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(exist_ok=True)
    for build in (digits, residual, mobile, nested, rows, shapes):
        if build.__name__ in sys.argv[2:] or not sys.argv[2:]:
            write(target, build)
