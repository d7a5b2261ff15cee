"""Commands on files, links, JSON and names that a stranger made: each case ends in an exit code and short messages.

``python -m fuzz.strangers KIND FOLDER SEED FIRST COUNT`` runs under a parent, as in `fuzz.loading`. FOLDER is what
`write_bases` makes.
"""

import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch

from bittern.cli import main as bittern
from bittern.data import DataError
from bittern.data.images import index_images
from bittern.data.stream import Stream
from bittern.train import RunError, TrainingInterrupted, checkpoint, read_launch
from bittern.train.launch import read_modules
from data.image_files import image, write_folder
from fuzz import mutate
from fuzz.base import write_base
from fuzz.loading import LONGEST_CASE, LONGEST_MESSAGE, MEMORY
from fuzz.operators import FindingError
from train.tiny import At, train

PEAK = 1500
"""Memory in MB that no case needs: torch and a small network take 500."""

NAMES = [
    *("\x1b[2J", "\x1b]0;title\a", "a\nb\rc", "\0", "\x9b31m", "\u202e", "\ud800", "[/b]", "[bold]", "x" * 300_000),
    *("-x", "--help", "", " ", ".", "..", "~", "%s", "{}", "$(id)", "é猫", "a" * 200),
]


@dataclass(frozen=True)
class Report:
    """``peak``: memory of the process in MB."""

    cases: int
    accepted: int
    peak: float


def write_bases(folder: Path) -> Path:
    """What the cases are made from: a model file, a run, an unfinished run, a checkpoint of PyTorch, an image."""
    write_base(folder / "base.pte")
    train(folder / "run", epochs=1)
    with suppress(TrainingInterrupted):
        train(folder / "unfinished", epochs=1, progress=At(20, lambda: signal.raise_signal(signal.SIGTERM)))
    torch.save({"state_dict": {"fc.weight": torch.zeros(10, 8), "fc.bias": torch.zeros(10)}}, folder / "base.pth")
    (folder / "base.png").write_bytes(image(1))
    return folder


def command(*arguments: object) -> bool:
    """Whether ``bittern ARGUMENTS`` succeeds. Any exception but those that it reports passes through."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = bittern([str(argument) for argument in arguments])
    lines = err.getvalue().split("\n")
    assert code in (0, 1, 2), f"exit code {code}"
    assert out.getvalue().replace("\n", "").isprintable(), f"printed {out.getvalue()[:500]!r}"
    for line in lines:
        assert line.isprintable(), f"said {line[:500]!r}"
        assert len(line) <= LONGEST_MESSAGE + 100, f"a message of {len(line)} characters: {line[:200]} ..."
    assert code == 0 or lines[-2:-1], "no reason was given"
    return code == 0


def files(chance: random.Random, bases: Path, work: Path) -> bool:
    """A file that is damaged, or no file, in the place of a model, an image or a checkpoint."""
    suffix, arguments = chance.choice(
        [
            (".pte", ["run", "FILE", str(bases / "base.png")]),
            (".pte", ["inspect", "FILE"]),
            (".png", ["run", str(bases / "base.pte"), "FILE"]),
            (".pth", ["import", "FILE", str(work / "imported")]),
        ]
    )
    path, content = work / f"file{suffix}", (bases / f"base{suffix}").read_bytes()
    match chance.randrange(8):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to(
                chance.choice(["/dev/zero", "/dev/null", "/dev/tty", "nothing", path, "/", "/proc/self/mem"])
            )
        case 2:
            path.write_bytes(content[-chance.choice([0, 8, 64]) :])
            os.truncate(path, 10 ** chance.randrange(12))
        case 3:
            path.mkdir()
        case 4 if suffix == ".pth":
            torch.save({chance.choice(["w", "fc.weight"]): hostile_tensor(chance)}, path)
        case _:
            path.write_bytes(mutate.mutate_bytes(chance, content))
    return command(*(path if argument == "FILE" else argument for argument in arguments))


def hostile_tensor(chance: random.Random) -> torch.Tensor:
    tensor = torch.zeros([chance.randrange(4) for _ in range(chance.randrange(4))])
    match chance.randrange(5):
        case 0:
            return torch.zeros(1).expand(10**9)
        case 1:
            return tensor.to_sparse()
        case 2:
            return tensor.to("meta")
        case 3:
            return tensor.to(chance.choice([torch.int8, torch.bool, torch.complex64, torch.bfloat16]))
    return tensor


def links(chance: random.Random, bases: Path, work: Path) -> bool:
    """Links, pipes, devices and folders anywhere in a folder of images: no image is counted twice."""
    write_folder(work, {"train": 6, "test": 3})
    places = [work, *(path for path in work.rglob("*") if path.is_dir())]
    for _ in range(chance.randint(1, 4)):
        at = chance.choice(places) / chance.choice(["a", "b.png", "c.jpg", ".d", "ant", "\udcff", "zebra"])
        if at.is_symlink() or at.exists():
            continue
        match chance.randrange(5):
            case 0:
                os.mkfifo(at)
            case 1:
                at.mkdir()
            case 2:
                at.symlink_to(chance.choice(["/dev/zero", "/dev/full", "/", "..", ".", "nothing", at, "/proc/self"]))
            case _:
                at.symlink_to(chance.choice(places))
    try:
        samples = index_images(work, ("train",), None).splits["train"]
    except DataError:
        return False
    found = [os.path.realpath(samples.locate(i).path) for i in range(len(samples.labels))]
    assert len(set(found)) == len(found), f"{len(found)} images are {len(set(found))} files"
    assert all(os.path.isfile(path) for path in found)
    assert len(Stream(samples, 8, training=True, workers=1).take(3)) == 3
    return True


def json_files(chance: random.Random, bases: Path, work: Path) -> bool:
    """``model.json``, ``launch.json`` or ``checkpoint.json`` edited, the last also with a digest that fits."""
    kind, name = chance.choice(
        [("run", "model.json"), ("unfinished", "launch.json"), ("unfinished", "checkpoint/checkpoint.json")]
    )
    folder = Path(shutil.copytree(bases / kind, work / "run"))
    path = folder / name
    fields: dict[str, Any] = json.loads(path.read_bytes())
    for _ in range(chance.randint(1, 3)):
        mutate.mutate_json(chance, fields)
    if chance.random() < 0.5 and isinstance(fields.get("state"), dict):
        fields["state_sha256"] = checkpoint.digest_of(fields["state"])
    path.write_text(json.dumps(fields) if chance.random() < 0.9 else chance.choice(mutate.TEXTS))
    if name == "launch.json":  # which may ask for a training of any length
        try:
            read_modules(folder)
            read_launch(folder)
        except RunError:
            return False
        return True
    return command("inspect", folder) if kind == "run" else command("train", "--resume", folder)


def names(chance: random.Random, bases: Path, work: Path) -> bool:
    """Names that a terminal, a shell or a format string would obey, in files, runs and arguments."""
    name = chance.choice(NAMES) + chance.choice(["", chance.choice(NAMES)])
    match chance.randrange(4):
        case 0:
            folder = Path(shutil.copytree(bases / "run", work / "run"))
            info = json.loads((folder / "model.json").read_bytes())
            info[chance.choice(["model", "recipe", "dataset"])] = name
            info["class_names"] = [name] * 10
            (folder / "model.json").write_text(json.dumps(info))
            return command(chance.choice(["inspect", "study"]), folder)
        case 1:
            return command(chance.choice(["recipes", "inspect", "run", "train", name]), name)
        case 2:
            return command("train", chance.choice(["digits", name]), "--out", work / "run", "--set", f"{name}=1")
        case _:
            fields = json.loads(mutate.Base.of((bases / "base.pte").read_bytes()).text)
            fields |= {"model": name, "class_names": [name] * 5}
            path = work / "model.pte"
            path.write_bytes((bases / "base.pte").read_bytes())
            path.write_bytes(
                mutate.file_with_text(mutate.Base.of(path.read_bytes()), json.dumps(fields, separators=(",", ":")))
            )
            return command(*chance.choice([["inspect", path], ["run", path, bases / "base.png"]]))


def terminals(chance: random.Random, bases: Path, work: Path) -> bool:
    """Streams that are closed, full or read by nobody, and encodings that lack characters."""
    arguments = chance.choice(
        [["recipes"], ["models"], ["inspect", "base.pte"], ["run", "base.pte", "base.png"], ["nothing"], ["--help"]]
    )
    streams = [chance.choice(STREAMS) for _ in range(3)]
    encoding, width = chance.choice(["ascii", "utf-8", "latin-1"]), chance.choice(["1", "60", "200"])
    child = os.fork()
    if child == 0:
        os.chdir(bases)
        os.environ |= {"COLUMNS": width, "TERM": chance.choice(["dumb", "xterm"])}
        _end_with(lambda: _run_on(streams, encoding, work, arguments), work / "trace")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    trace = work / "trace"
    assert code in (0, 1, 2), f"{streams}, {encoding}: {code}\n{trace.read_text() if trace.exists() else ''}"
    text = "".join(path.read_text(encoding, errors="replace") for path in work.glob("stream*"))
    assert "Traceback" not in text, text[-3000:]
    return code == 0


STREAMS = ("file", "file", "closed", "full", "broken")


def _run_on(streams: list[str], encoding: str, work: Path, arguments: list[str]) -> int:
    """The command on these standard streams, set up as Python does when it starts."""
    for number, kind in enumerate(streams):
        if kind == "broken":
            read, opened = os.pipe()
            os.close(read)
        else:
            path = "/dev/full" if kind == "full" else work / f"stream{number}"
            opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        errors = "backslashreplace" if name == "stderr" else "strict"
        mode = "w" if number else "r"
        stream = open(number, mode, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        if streams[number] == "closed":
            os.close(number)
            setattr(sys, name, None)
    code = bittern(arguments)
    sys.stdout.flush()  # as Python does when it ends
    return code


def _end_with(action: Callable[[], int], trace: Path) -> NoReturn:
    """Ends this process with the number that ``action`` returns; 99 if it raises, which ``trace`` then shows."""
    code = 99
    try:
        code = action()
    except SystemExit as end:  # rich's, if nobody reads
        code = int(end.code or 0)
    except BaseException:
        trace.write_text(traceback.format_exc())
    os._exit(code)


KINDS: dict[str, Callable[[random.Random, Path, Path], bool]] = {
    "files": files,
    "links": links,
    "json": json_files,
    "names": names,
    "terminals": terminals,
}


def fuzz(kind: str, bases: Path, seed: int, count: int) -> Report:
    """Runs ``count`` cases in a process of its own.

    Raises:
        FindingError: with the number of the case and what it did.
    """
    arguments = ["-m", "fuzz.strangers", kind, str(bases), str(seed)]
    tests = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, *arguments, "0", str(count)],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    last = done.stdout.split("\n")[-2:][0]
    words = last.split()
    if done.returncode == 0 and words[:1] == ["done"]:
        return Report(int(words[1]), int(words[2]), float(words[3]))
    again = f"again: PYTHONPATH=tests python {' '.join(arguments)} {last} 1"
    raise FindingError(f"{kind}: status {done.returncode} at case {last} ({again})\n{done.stderr[-4000:]}")


def main(kind: str, bases: str, seed: int, first: int, count: int) -> None:
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    accepted = 0
    for number in range(first, first + count):
        print(number, flush=True)
        signal.alarm(LONGEST_CASE)  # a case that hangs ends the process
        with tempfile.TemporaryDirectory() as work:
            accepted += KINDS[kind](random.Random(f"{kind}-{seed}-{number}"), Path(bases), Path(work))
    print(f"done {count} {accepted} {_peak():.0f}", flush=True)


def _peak() -> float:
    """The most memory of this process, in MB. `getrusage` counts that of the process that started it, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1000


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
