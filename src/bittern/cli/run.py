"""``bittern run``: runs a model file on images, without torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bittern.cli._errors import say
from bittern.cli._output import Json, output, percent_text, plain, print_json, print_line, table

if TYPE_CHECKING:
    from bittern.runtime import Engine, IsolatedEngine, Metadata

    AnyEngine = Engine | IsolatedEngine


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL.pte", help="File written by `bittern export`.")],
    images: Annotated[list[Path] | None, typer.Argument(metavar="IMAGE", help="Image files.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder of the model's data set, or of images in test/CLASS, or `digits`: measure accuracy on them.",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, metavar="K", help="Classes to show for each image, most likely first.")
    ] = 1,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Number of engine threads.")] = 1,
    isolated: Annotated[
        bool, typer.Option("--isolated", help="Run the file in a process of its own, which may crash; no sandbox.")
    ] = False,
    json: Json = False,
) -> None:
    """Classify images, or measure accuracy on a data set.

    Images may have any size; the file says how they become the pixels that the model takes.
    """
    if bool(images) == (data is not None):
        raise typer.BadParameter("name either images to classify or a data set (--data)")
    from bittern.runtime import IsolatedEngine, load

    engine = (IsolatedEngine if isolated else load)(model, threads=threads)
    _check_classes(engine)
    if data is not None:
        _measure(engine, data, json)
    else:
        _classify(engine, images or [], top, json)


def _check_classes(engine: "AnyEngine") -> None:
    shape = list(engine.metadata.output_shape)
    if len(shape) != 2:
        raise ValueError(
            f"{engine.path} outputs {shape}, not [images, classes]: "
            "run it from Python with bittern.runtime.load(path)(images)"
        )


def _classify(engine: "AnyEngine", paths: list[Path], top: int, json: bool) -> None:
    import numpy as np

    from bittern.runtime import isa, preprocess, read_pixels
    from bittern.runtime.preprocess import rule_of

    rule_of(engine.metadata)  # before any image is read
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


def _measure(engine: "AnyEngine", folder: Path, json: bool) -> None:
    from bittern.cli._datasets import labelled_images
    from bittern.runtime import isa, preprocess

    data = labelled_images(engine.metadata, folder)
    correct = count = 0
    for pixels, expected in data.batches():
        correct += int((engine(preprocess(pixels, engine.metadata)).argmax(axis=1) == expected).sum())
        count += len(expected)
    for name, reason in data.skipped:
        say(f"warning: {name} is left out: {reason}")
    if json:
        print_json(
            {
                "model": str(engine.path),
                "isa": isa(),
                "threads": engine.threads,
                "data": data.name,
                "images": count,
                "skipped": len(data.skipped),
                "right": correct,
                "accuracy": correct / count,
            }
        )
        return
    where = data.name if str(folder) == data.name else f"{data.name} in {folder}"
    print_line(f"[bold]{percent_text(correct / count)}[/bold] of the {count} test images of {plain(where)} are correct")


def _name(metadata: "Metadata", index: int) -> str:
    return metadata.class_names[index] if metadata.class_names else f"class {index}"
