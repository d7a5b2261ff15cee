"""Writes fixtures of the authors' PyTorch networks; nothing of Bittern is used.

    git clone https://github.com/liuzechun/ReActNet; git clone https://github.com/liuzechun/AdamBNN
    python tests/importers/generate/from_pytorch.py FOLDER_OF_BOTH tests/importers/fixtures            # narrow networks
    python tests/importers/generate/from_pytorch.py FOLDER_OF_BOTH FOLDER --full                       # as published
    python tests/importers/generate/from_pytorch.py FOLDER_OF_BOTH tests/importers/fixtures --layouts

A seed whose network has a sign near its threshold is passed over.
"""

import argparse
import importlib.util
import json
import lzma
import tempfile
from pathlib import Path

import numpy as np
import torch
from draw import EIGHTHS, draw, draw_image, is_stable, noisy, write
from torch import nn

SIZE = {False: 64, True: 224}


def load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reactnet(path: Path, full: bool, classes: int):
    module = load(path)
    if full:
        return module.reactnet(num_classes=classes)
    module.stage_out_channel = [32, 64, 64, 128]  # its code tells by the 64 where the first block keeps the size
    network = module.reactnet(num_classes=classes)
    network.fc = nn.Linear(128, classes)
    return network


def react_resnet(path: Path, full: bool, classes: int):
    module = load(path)
    if full:
        return module.birealnet18(num_classes=classes)

    class Narrow(module.BiRealNet):
        def _make_layer(self, block, planes, blocks, stride=1):
            if stride == 1:
                self.inplanes //= 8
            return super()._make_layer(block, planes // 8, blocks, stride)

    network = Narrow(module.BasicBlock, [2, 1, 1, 1], num_classes=classes)
    network.conv1 = nn.Conv2d(3, 8, kernel_size=7, stride=2, padding=3, bias=False)
    network.bn1 = nn.BatchNorm2d(8)
    network.fc = nn.Linear(64, classes)
    return network


NETWORKS = {
    "reactnet-a-reactnet-step-1": (reactnet, "ReActNet/mobilenet/1_step1/reactnet.py"),
    "reactnet-a-reactnet-step-2": (reactnet, "ReActNet/mobilenet/2_step2/reactnet.py"),
    "reactnet-a-adambnn-step-1": (reactnet, "AdamBNN/step1/reactnet.py"),
    "reactnet-a-adambnn-step-2": (reactnet, "AdamBNN/step2/reactnet.py"),
    "react-resnet-18-step-1": (react_resnet, "ReActNet/resnet/1_step1/birealnet.py"),
    "react-resnet-18-step-2": (react_resnet, "ReActNet/resnet/2_step2/birealnet.py"),
}
"""Name of the fixture, which begins with our model's -> who makes the network, from which file."""

ALIKE = "reactnet-a-reactnet-step-1"
"""Has the tensors of AdamBNN's step 1, and computes the same: not in the repository."""


def randomize(network: nn.Module, step: int, rng) -> None:
    norms = {name for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    slopes = {name for name, module in network.named_modules() if isinstance(module, nn.PReLU)}
    for name, tensor in network.state_dict().items():
        module, _, short = name.rpartition(".")
        if short == "num_batches_tracked":
            tensor.fill_(int(rng.integers(1, 1000)))
            continue
        if module in norms:
            kind = {"weight": "factor", "bias": "shift", "running_mean": "shift", "running_var": "variance"}[short]
        elif module in slopes:
            kind = "slope"
        elif short == "bias":
            kind = "shift"
        else:
            kind = "signs" if "binary" in module and step == 2 else "kernel"
        tensor.copy_(torch.from_numpy(draw(kind, tuple(tensor.shape), rng)))


def logits_with_noise(network: nn.Module, image, rng):
    def run(x):
        with torch.no_grad():
            return network(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy().reshape(-1)

    x = image[None].astype(np.float32) / EIGHTHS
    logits, others = run(x), [run(noisy(x, rng)) for _ in range(3)]
    return logits, others


def generate(name: str, make, path: Path, folder: Path, full: bool) -> None:
    for seed in range(1 if full else 100):
        rng = np.random.default_rng(seed)
        network = make(path, full, 1000 if full else 10)
        randomize(network, int(name[-1]), rng)
        network.eval()
        image = draw_image(SIZE[full], rng)
        logits, others = logits_with_noise(network, image, rng)
        if full or is_stable(logits, others):  # millions of signs: some are always near their thresholds
            with tempfile.TemporaryDirectory() as temporary:
                file = Path(temporary) / f"{name}.pth"
                # As their training saves it: of a DataParallel, with the optimizer beside it.
                optimizer = torch.optim.Adam(network.parameters(), lr=5e-4)
                state = {f"module.{key}": tensor for key, tensor in network.state_dict().items()}
                content = {"epoch": 255, "state_dict": state, "best_top1_acc": torch.tensor(70.0)}
                torch.save(
                    content | {"optimizer": optimizer.state_dict()}, file, _use_new_zipfile_serialization="2" in name
                )
                write(folder, name, file, image, logits, seed=seed)
            return
    raise SystemExit(f"{name}: no seed of 100 is far from all thresholds")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sources", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--layouts", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.layouts:
        layouts = {
            name: {key: list(t.shape) for key, t in make(arguments.sources / path, True, 1000).state_dict().items()}
            for name, (make, path) in NETWORKS.items()
        }
        content = lzma.compress(json.dumps(layouts).encode(), preset=9)
        (arguments.folder / "pytorch.json.xz").write_bytes(content)
        return
    for name in arguments.names or (name for name in NETWORKS if arguments.full or name != ALIKE):
        make, path = NETWORKS[name]
        generate(name, make, arguments.sources / path, arguments.folder, arguments.full)


if __name__ == "__main__":
    main()
