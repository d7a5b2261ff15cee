"""Writes fixtures of Larq Zoo's networks, in Larq Zoo's own environment; nothing of Bittern is used.

    python3.11 -m venv larq && larq/bin/pip install tensorflow-cpu==2.16.2 tf-keras==2.16.0 larq==0.13.3
    larq/bin/pip install --no-deps larq-zoo==2.3.3 zookeeper==1.4.0 click typeguard
    larq/bin/python tests/importers/generate/from_larq.py tests/importers/fixtures        # narrow networks
    larq/bin/python tests/importers/generate/from_larq.py FOLDER --full                   # as published
    larq/bin/python tests/importers/generate/from_larq.py tests/importers/fixtures --layouts

Names after the options choose networks. A seed whose network has a sign near its threshold is passed over.
"""

import argparse
import json
import lzma
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.modules["tensorflow_datasets"] = mock.MagicMock()  # imported by the zoo for its training scripts alone

import larq as lq  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from draw import EIGHTHS, draw, draw_image, is_stable, noisy, write  # noqa: E402
from larq_zoo import literature, sota  # noqa: E402
from larq_zoo.literature import binary_alex_net, birealnet, densenet, dorefanet, meliusnet, resnet_e, xnornet  # noqa: E402
from larq_zoo.literature import real_to_bin_nets as r2b  # noqa: E402
from larq_zoo.sota import quicknet  # noqa: E402
from zookeeper import factory  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


@lq.utils.register_keras_custom_object
class XnorWeightScale(lq.quantizers.Quantizer):
    """The zoo's function as a class: larq 0.13 takes no function by its name."""

    precision = 1

    def call(self, x):
        return xnornet.xnor_weight_scale(x)


xnornet.XNORNetFactory.kernel_quantizer = XnorWeightScale()


def less(layer, by, keep=()):
    """``layer`` with ``by`` times fewer filters, but for the numbers in ``keep``."""
    return lambda filters, *args, **kwargs: layer(filters if filters in keep else filters // by, *args, **kwargs)


@factory
class NarrowResNetE(resnet_e.BinaryResNetE18Factory):
    @property
    def spec(self):
        return [1, 1, 1], [8, 16, 32]


@factory
class NarrowDenseNet28(densenet.BinaryDenseNet28Factory):
    layers = (2, 1, 1, 1)


@factory
class NarrowDenseNet37Dilated(densenet.BinaryDenseNet37DilatedFactory):
    layers = (1, 2, 2, 1)


@factory
class NarrowDenseNet45(densenet.BinaryDenseNet45Factory):
    layers = (1, 3, 2, 1)


@factory
class NarrowMeliusNet(meliusnet.MeliusNet22Factory):
    num_blocks, transition_features = (1, 1), (32, None)


@factory
class NarrowAlexNet(binary_alex_net.BinaryAlexNetFactory):
    def conv_block(self, x, features, *args, **kwargs):
        return super().conv_block(x, features // 16, *args, **kwargs)

    def dense_block(self, x, units):
        return super().dense_block(x, units // 64 if units == 4096 else units)


@factory
class NarrowDoReFaNet(dorefanet.DoReFaNetFactory):
    def conv_block(self, x, filters, *args, **kwargs):
        return super().conv_block(x, filters // 16, *args, **kwargs)

    def fully_connected_block(self, x, units):
        return super().fully_connected_block(x, units // 64)


def narrow_xnornet(**shape):
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(lq.layers, "QuantConv2D", less(lq.layers.QuantConv2D, 32)))
        stack.enter_context(mock.patch.object(tf.keras.layers, "Conv2D", less(tf.keras.layers.Conv2D, 16)))
        if shape["input_shape"][0] != 224:  # the layer that covers the image
            whole = lq.layers.QuantConv2D
            fits = lambda f, kernel, **k: whole(f, (2, 2) if kernel == (6, 6) else kernel, **k)  # noqa: E731
            stack.enter_context(mock.patch.object(lq.layers, "QuantConv2D", fits))
        return xnornet.XNORNetFactory(**shape).build()


def narrow_stem(build):
    """Real-to-Binary Net and the Strong Baseline take their width from the first convolution."""

    def build_narrow(**shape):
        first = r2b._SharedBaseFactory.first_block

        def first_block(self, *args, **kwargs):
            with mock.patch.object(tf.keras.layers, "Conv2D", less(tf.keras.layers.Conv2D, 8)):
                return first(self, *args, **kwargs)

        with mock.patch.object(r2b._SharedBaseFactory, "first_block", first_block):
            return build(**shape).build()

    return build_narrow


def built(factory_class, **options):
    return lambda **shape: factory_class(**options, **shape).build()


def binarynet(filters, units):
    """The network of Bop's authors, section 5.2: not the zoo's, but stored alike."""

    def build(input_shape, num_classes):
        quantized = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}

        def norm(*layers):
            return [*layers, tf.keras.layers.BatchNormalization(scale=False)]

        def pool():
            return tf.keras.layers.MaxPool2D(2, 2)

        def conv(width):
            return lq.layers.QuantConv2D(width, 3, padding="same", **quantized)

        first = lq.layers.QuantConv2D(filters, 3, kernel_quantizer="ste_sign", use_bias=False, input_shape=input_shape)
        return tf.keras.Sequential(
            [
                *norm(first),
                *norm(conv(filters), pool()),
                *norm(conv(2 * filters)),
                *norm(conv(2 * filters), pool()),
                *norm(conv(4 * filters)),
                *norm(conv(4 * filters), pool()),
                tf.keras.layers.Flatten(),
                *norm(lq.layers.QuantDense(units, **quantized)),
                *norm(lq.layers.QuantDense(units, **quantized)),
                *norm(lq.layers.QuantDense(num_classes, **quantized)),
                tf.keras.layers.Activation("softmax"),
            ]
        )

    return build


NARROW = {
    "quicknet": (built(quicknet.QuickNetFactory, section_blocks=(1, 2, 1), section_filters=(16, 24, 40)), 64),
    "bi-real-net-18-larq": (built(birealnet.BiRealNetFactory, filters=4), 64),
    "binary-resnet-e-18": (built(NarrowResNetE, initial_filters=8), 64),
    "binary-resnet-e-18-small-image": (built(NarrowResNetE, initial_filters=8), 32),
    "real-to-binary": (narrow_stem(r2b.RealToBinNetBNNFactory), 64),
    "real-to-binary-step-1": (narrow_stem(r2b.RealToBinNetBANFactory), 64),
    "strong-baseline": (narrow_stem(r2b.StrongBaselineNetBNNFactory), 64),
    "binary-densenet-28": (built(NarrowDenseNet28, initial_filters=16, growth_rate=16), 64),
    "binary-densenet-37-dilated": (built(NarrowDenseNet37Dilated, initial_filters=32, growth_rate=32), 64),
    "binary-densenet-45": (built(NarrowDenseNet45, initial_filters=32, growth_rate=32), 64),
    "meliusnet-22": (built(NarrowMeliusNet), 64),
    "xnor-net": (narrow_xnornet, 96),
    "binary-alexnet": (built(NarrowAlexNet), 96),
    "dorefanet": (built(NarrowDoReFaNet), 80),
    "binarynet": (binarynet(8, 32), 32),
}
"""Name of the fixture, which begins with our model's -> the network, with few filters, and the side of its images."""

FULL = {
    "quicknet-small": (sota.QuickNetSmall, 224),
    "quicknet": (sota.QuickNet, 224),
    "quicknet-large": (sota.QuickNetLarge, 224),
    "bi-real-net-18-larq": (literature.BiRealNet, 224),
    "binary-resnet-e-18": (literature.BinaryResNetE18, 224),
    "real-to-binary": (literature.RealToBinaryNet, 224),
    "strong-baseline": (built(r2b.StrongBaselineNetBNNFactory), 224),
    "binary-densenet-28": (literature.BinaryDenseNet28, 224),
    "binary-densenet-37": (literature.BinaryDenseNet37, 224),
    "binary-densenet-37-dilated": (literature.BinaryDenseNet37Dilated, 224),
    "binary-densenet-45": (literature.BinaryDenseNet45, 224),
    "meliusnet-22": (literature.MeliusNet22, 224),
    "xnor-net": (literature.XNORNet, 224),
    "binary-alexnet": (literature.BinaryAlexNet, 224),
    "dorefanet": (literature.DoReFaNet, 224),
    "binarynet": (binarynet(128, 1024), 32),
}
"""The same as published."""


def randomize(model, rng):
    kinds = {
        "moving_variance": "variance",
        "moving_mean": "shift",
        "beta": "shift",
        "bias": "shift",
        "gamma": "factor",
        "alpha": "slope",
        "scale_h": "factor",
        "scale_w": "factor",
        "scale_c": "factor",
    }
    for layer in model.layers:
        binary = getattr(layer, "kernel_quantizer", None) is not None
        fixed = isinstance(layer, tf.keras.layers.DepthwiseConv2D) and not layer.trainable  # a blur
        if not fixed:
            names = [variable.name.split("/")[-1].split(":")[0] for variable in layer.weights]
            values = [kinds.get(name, "signs" if binary else "kernel") for name in names]
            layer.set_weights([draw(kind, w.shape, rng) for kind, w in zip(values, layer.get_weights(), strict=True)])


def build_one(build, size, classes):
    tf.keras.backend.clear_session()
    shape = {"input_shape": (size, size, 3), "num_classes": classes}
    return build(**shape, weights=None) if getattr(build, "__module__", "").startswith("larq_zoo") else build(**shape)


def logits_with_noise(model, image, rng, *, on_input):
    """Logits of the image, and others that differ from them by what the network makes of noise."""
    without_softmax = tf.keras.Model(model.input, model.layers[-1].input)

    def run(x):
        return without_softmax(x, training=False).numpy().reshape(-1)

    x = image[None].astype(np.float32) / EIGHTHS
    logits, others = run(x), [run(noisy(x, rng)) for _ in range(3 * on_input)]
    norms = [layer for layer in model.layers if isinstance(layer, tf.keras.layers.BatchNormalization)]
    saved = [norm.get_weights() for norm in norms]
    for _ in range(3):
        for norm, weights in zip(norms, saved, strict=True):
            norm.set_weights([noisy(w, rng) for w in weights])
        others.append(run(x))
    for norm, weights in zip(norms, saved, strict=True):
        norm.set_weights(weights)
    return logits, others


def generate(name, build, size, classes, folder, *, full):
    for seed in range(1 if full else 100):
        rng = np.random.default_rng(seed)
        model = build_one(build, size, classes)
        randomize(model, rng)
        image = draw_image(size, rng)
        # A sign straight behind the first convolution sees sums without rounding errors, some of them 0.
        logits, others = logits_with_noise(model, image, rng, on_input="small-image" not in name)
        if full or is_stable(logits, others):  # millions of signs: some are always near their thresholds
            with tempfile.TemporaryDirectory() as temporary:
                path = Path(temporary) / f"{name}.h5"
                model.save_weights(str(path))
                write(folder, name, path, image, logits, seed=seed)
            return
    raise SystemExit(f"{name}: no seed of 100 is far from all thresholds")


def layout(build, size):
    """Names of all layers with the names and shapes of their weights, in the order in which a file lists them."""
    model = build_one(build, size, 10 if size == 32 else 1000)
    return [
        [layer.name, {v.name.split("/")[-1].split(":")[0]: list(v.shape) for v in layer.weights}]
        for layer in model.layers
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--layouts", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.layouts:
        layouts = {name: layout(*row) for name, row in FULL.items()}
        content = lzma.compress(json.dumps(layouts).encode(), preset=9)
        (arguments.folder / "larq.json.xz").write_bytes(content)
        return
    rows = FULL if arguments.full else NARROW
    for name in arguments.names or rows:
        build, size = rows[name]
        generate(
            name, build, size, 1000 if arguments.full and size != 32 else 10, arguments.folder, full=arguments.full
        )


if __name__ == "__main__":
    main()
