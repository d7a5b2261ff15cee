"""``bittern run``: runs a model file on images, without torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittern.cli._inputs import check_takes_images
from bittern.cli._output import Json, output, percent_text, plain, print_json, print_line, table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bittern.runtime import Engine, Metadata

_CHUNK = 256  # images of a data set that are held as floats at a time


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.pte", help="File written by `bittern export`.")],
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE", help="Image files.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder of the model's data set, or `digits`: measure accuracy on its test split.",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, metavar="K", help="Classes to show for each image, most likely first.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Number of engine threads.")] = 1,
    json: Json = False,
) -> None:
    """Classify images, or measure accuracy on a data set.

    Images may have any size and format; they are stretched to the size that the model takes.
    """
    if bool(images) == (data is not None):
        raise typer.BadParameter("name either images to classify or a data set (--data)")
    from bittern.runtime import load

    engine = load(model, threads=threads)
    _check_classes(engine)
    if data is not None:
        _measure(engine, data, json)
    else:
        _classify(engine, images or [], top, json)


def _check_classes(engine: "Engine") -> None:
    check_takes_images(engine, "call it from Python")
    shape = list(engine.metadata.output_shape)
    if len(shape) != 2:
        raise ValueError(
            f"{engine.path} outputs {shape}, not [images, classes]: "
            "run it from Python with bittern.runtime.load(path)(images)"
        )


def _classify(engine: "Engine", paths: list[Path], top: int, json: bool) -> None:
    import numpy as np

    from bittern.cli._images import read_pixels
    from bittern.runtime import isa, preprocess

    logits = engine(preprocess(read_pixels(paths, engine.metadata), engine.metadata))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :top]
    if json:
        results = [
            {
                "file": str(path),
                "top": [
                    {
                        "class": _name(engine.metadata, k),
                        "index": int(k),
                        "probability": float(share[k]),
                        "logit": float(row[k]),
                    }
                    for k in ranks
                ],
            }
            for path, ranks, share, row in zip(paths, order, shares, logits, strict=True)
        ]
        print_json({"model": str(engine.path), "isa": isa(), "threads": engine.threads, "images": results})
        return
    listing = table(["Image", "Class", ">Probability"])
    for path, ranks, share in zip(paths, order, shares, strict=True):
        for place, k in enumerate(ranks):
            style = "bold" if place == 0 else "dim"
            listing.add_row(
                plain(path) if place == 0 else "", plain(_name(engine.metadata, k)), percent_text(share[k]), style=style
            )
    output().print(listing)


def _measure(engine: "Engine", folder: Path, json: bool) -> None:
    import numpy as np

    from bittern.runtime import isa, preprocess

    name, pixels, labels = _test_split(engine.metadata, folder)
    predictions = [
        engine(preprocess(pixels[start : start + _CHUNK], engine.metadata)).argmax(axis=1)
        for start in range(0, len(pixels), _CHUNK)
    ]
    correct = int((np.concatenate(predictions) == labels).sum())
    if json:
        print_json(
            {
                "model": str(engine.path),
                "isa": isa(),
                "threads": engine.threads,
                "data": name,
                "images": len(labels),
                "right": correct,
                "accuracy": correct / len(labels),
            }
        )
        return
    print_line(
        f"[bold]{percent_text(correct / len(labels))}[/bold] of the {len(labels)} test images of {name} are correct"
    )


def _test_split(metadata: "Metadata", folder: Path) -> "tuple[str, npt.NDArray[np.uint8], npt.NDArray[np.int64]]":
    """Name, pixels uint8 [N, H, W, C] and labels [N] of the data set that has the model's classes and input shape."""
    from bittern.data import get_dataset, list_datasets, load

    expected = (metadata.class_names, metadata.input_shape[1:])
    rows = [get_dataset(name) for name in list_datasets()]
    info = next((row for row in rows if (row.class_names, row.input_shape) == expected), None)
    if info is None:
        raise ValueError(
            f"no data set ({', '.join(list_datasets())}) has the class names and input shape of {metadata.model}: "
            "pass image files instead"
        )
    if not info.needs_folder and str(folder) != info.name:
        raise ValueError(f"data set {info.name!r} is not read from a folder: pass --data {info.name}, not {folder}")
    split = load(info.name, folder, ("test",))["test"]
    return info.name, split.images.permute(0, 2, 3, 1).numpy(), split.labels.numpy()


def _name(metadata: "Metadata", index: int) -> str:
    return metadata.class_names[index] if metadata.class_names else f"class {index}"
