"""The command line: ``python -m benchmarks COMMAND``.

Rows go to CSV files in results/, those about speed in a folder for each CPU; then all pages and plots are regenerated.
An interrupted call resumes where it stopped, unless the code has changed in the meantime.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.rows import RESULTS, TrainingRow, read, write
from benchmarks.tables import report


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    options.run(options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=run)
        return command

    texts = {
        "layers": "single layers in all engines, and single kernels",
        "networks": "networks in all engines, where their time goes, and the proof of every model",
        "macs": "what multiply-accumulates tell about latency; shortcuts, padding; accuracy against latency",
        "all": "layers, networks and macs",
    }
    for name, text in texts.items():
        speed = add(name, _speed, text)
        speed.add_argument("--only", default="", metavar="TEXT", help="only layers or networks whose name holds TEXT")
        speed.add_argument("--rounds", type=int, default=15, help="interleaved rounds")
        speed.add_argument("--no-rivals", dest="rivals", action="store_false", help="only Bittern's own columns")
        speed.add_argument(
            "--results", type=Path, help="folder of the CSV files; with --only a temporary one by default"
        )
        speed.add_argument("--fresh", action="store_true", help="ignore what an interrupted call has finished")
    add("demo", _demo, "what `bittern demo` finds: the table of README.md")
    rates = add("rates", _rates, "the rates from which `bittern inspect` predicts latencies")
    rates.add_argument("--rounds", type=int, default=15)
    steps = add("steps", _steps, "a step of every optimizer")
    steps.add_argument("--rounds", type=int, default=20)
    steps.add_argument("--threads", type=int, default=1)
    training = add("training", _training, "a training step of binary networks and of their float twins")
    training.add_argument("--only", action="append", metavar="MODEL")
    training.add_argument("--rounds", type=int, default=9)
    training.add_argument("--compiled", action="store_true", help="under torch.compile too")
    for each in (steps, training):
        each.add_argument("--device", default="cpu", help="cpu or cuda")
    optimizers = add("optimizers", _optimizers, "all optimizers on CIFAR-10; takes hours")
    optimizers.add_argument("--tune", action="store_true", help="choose settings instead")
    optimizers.add_argument("--scale", choices=("slim", "full"), default="slim")
    optimizers.add_argument("--network", action="append", help="all unless given")
    optimizers.add_argument("--seeds", type=int, default=3, help="runs of each, with seeds from 0")
    optimizers.add_argument("--accelerator", default="cpu")
    study = add("study", _study, "AdamBNN's and Bop's experiments on small networks (docs/adam-study.md)")
    study.add_argument("--seeds", type=int, default=2)
    for each in (optimizers, study):
        each.add_argument("--data", required=True, help="folder of CIFAR-10")
        each.add_argument("--only", action="append", help="contenders or runs; all unless given")
        each.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    compare = add("compare", _compare, "two revisions of this project")
    compare.add_argument("revisions", nargs=2, metavar=("OLD", "NEW"), help="such as HEAD~1 HEAD")
    compare.add_argument("--only", default="", metavar="TEXT", help="only rows whose name holds TEXT")
    compare.add_argument("--rounds", type=int, default=20)
    add("report", lambda _: report.write_all(), "regenerate all pages and plots from the CSV files")
    return parser


def _speed(options: argparse.Namespace) -> None:
    from benchmarks.measure import layer_times, macs, network_times
    from benchmarks.measure.campaign import Campaign, Options
    from benchmarks.measure.driver import Driver
    from benchmarks.measure.environments import build_native

    build_native()
    with Driver(say) as driver:
        campaign = Campaign(
            driver, Options(options.only, options.rounds, options.rivals, options.fresh, options.results)
        )
        say(f"{campaign.stamp['machine']}; revision {campaign.stamp['revision']}")
        for name, run in {"layers": layer_times.run, "networks": network_times.run, "macs": macs.run}.items():
            if options.command in (name, "all"):
                run(campaign)
        campaign.finish()
    if campaign.folder.parent == RESULTS:
        report.write_all()
    else:
        report.write_cpu(campaign.folder)
        print("\n".join(report.cpu_pages(campaign.folder).values()))
    say(f"wrote {campaign.folder}")


def _demo(_: argparse.Namespace) -> None:
    from benchmarks.measure import demo
    from benchmarks.measure.stamp import this_cpu_folder
    from benchmarks.tables.demo import demo_table

    folder = this_cpu_folder()
    write(RESULTS / folder / "demo.csv", demo.measure())
    print(demo_table(folder))


def _rates(options: argparse.Namespace) -> None:
    from benchmarks.measure import rates
    from benchmarks.measure.driver import Driver
    from benchmarks.measure.environments import build_native

    build_native()
    with Driver(say) as driver:
        rates.write(rates.measure(driver, rounds=options.rounds, say=say))


def _steps(options: argparse.Namespace) -> None:
    import torch

    from benchmarks.measure import steps

    torch.set_num_threads(options.threads)
    rows = steps.measure(options.rounds, options.device)
    write(_device_folder(options.device) / "steps.csv", rows)
    report.write_all()


def _training(options: argparse.Namespace) -> None:
    import torch

    from benchmarks.measure import training

    torch.set_num_threads(1)
    path = _device_folder(options.device) / "training.csv"
    rows = {row.model: row for row in read(path, TrainingRow)}
    models = _choose(options.only, [case.model for case in training.CASES], "model")
    for case in training.CASES:
        if case.model in models:
            rows[case.model] = training.measure(case, options.rounds, options.device, options.compiled)
            write(path, list(rows.values()))
    report.write_all()


def _device_folder(device: str) -> Path:
    import torch

    from benchmarks.measure.stamp import this_cpu_folder
    from benchmarks.rows import cpu_folder

    return RESULTS / (cpu_folder(torch.cuda.get_device_name(), ()) if device == "cuda" else this_cpu_folder())


def _optimizers(options: argparse.Namespace) -> None:
    from benchmarks.measure.contenders import CONTENDERS, NETWORKS
    from benchmarks.measure.optimizers import OptimizerRun, compare, tune

    names, networks = _choose(options.only, CONTENDERS, "contender"), _choose(options.network, NETWORKS, "network")
    first = OptimizerRun(names[0], networks[0], options.scale, options.data, options.accelerator)
    if options.tune:
        tune(first, names, networks, options.jobs)
    else:
        compare(first, names, networks, options.seeds, options.jobs)
    report.write_all()


def _study(options: argparse.Namespace) -> None:
    from benchmarks.measure.adam_runs import RUNS
    from benchmarks.measure.adam_study import study

    names = _choose(options.only, [run.name for run in RUNS], "run")
    study(options.data, names, options.seeds, options.jobs)
    report.write_all()


def _choose(given: Sequence[str] | None, known: Iterable[str], what: str) -> list[str]:
    """``given``, all that is ``known`` if nothing is. Raises SystemExit: a name is not known."""
    names = list(known)
    for name in given or ():
        if name not in names:
            raise SystemExit(f"there is no {what} {name!r}; choose from {', '.join(names)}")
    return list(given or names)


def _compare(options: argparse.Namespace) -> None:
    from benchmarks.measure import compare

    compare.run(options.revisions, only=options.only, rounds=options.rounds)


if __name__ == "__main__":
    sys.exit(main())
