"""``watch``: the instruments on any PyTorch training loop."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bittern import __version__
from bittern._distributed import is_first, world_size
from bittern._run_files import TENSORBOARD_FOLDER
from bittern._tensorboard import EventWriter
from bittern.study import ranks
from bittern.study.files import SEPARATOR, StudyWriter
from bittern.study.instruments import INSTRUMENTS, get_instrument
from bittern.study.instruments.base import Instrument, Values
from bittern.study.instruments.flips import FOLD_EVERY, Correlation, Flips
from bittern.study.instruments.mismatch import Loss, Mismatch
from bittern.study.intercept import Interception
from bittern.study.layers import latent_weights, unwrapped
from bittern.study.look import Look
from bittern.study.schedule import LADDER, Cost, Kind, Schedule

_STAGE, _STAGE_STEP = "stage", "stage_step"  # names in state.npz


class Watch:
    """Watches the training of one network by one optimizer, or several, from step ``step`` on; see ``watch``."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | Iterable[Optimizer],
        out: str | Path,
        *,
        instruments: Sequence[str | Instrument] | None = None,
        sample_every: int | None = None,
        snapshot_every: int = 10,
        budget: float = 0.1,
        step: int = 0,
        stage: str = "",
        probe: Loss | None = None,
        references: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> None:
        for name, number in (("sample_every", sample_every), ("snapshot_every", snapshot_every)):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        if not 0 < budget < float("inf"):
            raise ValueError(f"budget must be above 0, a share of the training time such as 0.1, got {budget}")
        if step < 0:
            raise ValueError(f"step must be at least 0, got {step}")
        self._model = unwrapped(model)
        self._optimizers = _optimizers(optimizer)
        self._weights = latent_weights(self._model)
        self._device = self._weights[0].parameter.device
        self._instruments = _instruments(instruments, self._model, probe, references)
        self._flips = next((i for i in self._instruments if isinstance(i, Flips)), None)
        self._observing = [i for i in self._instruments if i.observes] if _observable(model) else []
        self._first = is_first()
        if not self._first:
            self._instruments = self._observing
        self._step, self._stage = step, stage
        self._schedule = Schedule(sample_every or LADDER[0], snapshot_every, budget, adapt=sample_every is None)
        self._cost = Cost(on_cpu=self._device.type == "cpu")
        self._interception = Interception(self._model, self._visit)
        self._sums: ranks.Sums = {}
        self._before: dict[str, Tensor] = {}
        self._asked = False
        self._closed = False
        self._writer: StudyWriter | None = None
        self._scalars: EventWriter | None = None
        if self._first:
            self._writer = StudyWriter(Path(out), step)
            self._scalars = EventWriter(Path(out) / TENSORBOARD_FOLDER, step)
        self._begin(model)
        self._written = self._snapped = step
        self._plan(first=True)

    @property
    def share(self) -> float:
        """What watching costs, as a share of the time of training without it."""
        return self._cost.share

    def step(self) -> None:
        """After every step of the optimizer, while the gradients are still there."""
        began = self._cost.now()
        self._step += 1
        kind, first = self._kind, self._first_step
        look = Look(self._step, self._weights, self._optimizers, self._before)
        with torch.no_grad():
            for instrument in self._instruments:
                instrument.every_step(look)
            if kind is not Kind.PLAIN:
                self._interception.close()
                sums = ranks.add_up(self._sums)
                window = self._schedule.window_ends(self._step)
                self._record(Look(self._step, self._weights, self._optimizers, self._before, sums, window), kind)
            elif self._step - self._written >= FOLD_EVERY:
                self._fold()
            self._plan(first=False)
        self._cost.add(kind, began, count=not first)

    def epoch(self, number: int, stage: str = "") -> None:
        """An epoch has ended, the ``number``-th of its stage. After the first one the next step is a snapshot."""
        if self._writer is not None:
            self._fold()  # a checkpoint may be next
            if self._step > self._snapped:
                self._save_state()
            self._writer.reading("epoch", self._step, stage=stage or self._stage, epoch=number)
        if number == 1 or self._step - self._snapped >= self._schedule.every * self._schedule.snapshot_every:
            self._asked = True
            self._plan(first=self._first_step)
        self._cost.resume()

    def close(self) -> None:
        """Ends the watch with a last snapshot of what weights alone tell. Hooks are gone, the model is as it was."""
        if self._closed:
            return
        self._closed = True
        self._interception.close()
        if self._writer is None or self._scalars is None:
            return
        try:
            with torch.no_grad():
                if self._step > self._snapped:
                    final = [i for i in self._instruments if i.final]
                    self._record(Look(self._step, self._weights, window_ends=False), Kind.SNAPSHOT, final)
        finally:
            self._writer.close()
            self._scalars.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, model: nn.Module) -> None:
        look = Look(self._step, self._weights, self._optimizers)
        saved: dict[str, Any] = self._writer.load_state() if self._writer and self._step else {}
        same_stage = str(saved.get(_STAGE, "")) == self._stage and int(saved.get(_STAGE_STEP, 0)) < max(self._step, 1)
        self._stage_step = int(saved[_STAGE_STEP]) if saved and same_stage else self._step
        for instrument in self._instruments:
            own = {
                name.removeprefix(instrument.name + SEPARATOR): value
                for name, value in saved.items()
                if name.startswith(instrument.name + SEPARATOR)
            }
            # Only what is counted from the run's start outlives a stage.
            instrument.begin(look, own if same_stage else {n: v for n, v in own.items() if n.startswith("c2i|")})
        if self._writer is None:
            return
        if not same_stage or not saved:
            self._writer.reading(
                "stage",
                self._step,
                stage=self._stage,
                optimizers=[_described(optimizer) for optimizer in self._optimizers],
                binarized=all(weight.binarized for weight in self._weights),
                latent_free=all(weight.latent_free for weight in self._weights),
            )
        schedule = self._writer.info.get("schedule", {})
        if self._schedule.adapt:
            self._schedule.every = max(self._schedule.every, int(schedule.get("sample_every", 0)))
        notes = list(self._writer.info.get("notes", [])) if self._step else []
        if self._step and self._writer.info and not saved:
            notes.append(f"what was counted up to step {self._step}: the file is lost; C2I is counted from there")
        if not _observable(model):
            notes.append("activations: the model is compiled")
        if _has_parts(self._weights):
            notes.append("weights of other processes: they are sharded, and each process sees its part")
        self._describe(notes=list(dict.fromkeys(notes)))

    def _plan(self, first: bool) -> None:
        """Chooses what happens at the next step, and prepares it."""
        self._first_step = first
        self._kind = Kind.SNAPSHOT if self._asked else self._schedule.kind(self._step + 1, first)
        self._asked = False
        self._before, self._sums = {}, {instrument.name: {} for instrument in self._observing}
        if self._kind is Kind.PLAIN:
            return
        if self._first:
            self._before = {w.name: w.values.float().clone() for w in self._weights}
        if self._observing:
            self._interception.open()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # else the sample would wait for, and be charged with, what was queued

    def _visit(self, site: str, module: nn.Module, x: Tensor) -> None:
        for instrument in self._observing:
            sums = instrument.observe(module, x, self._kind is Kind.SNAPSHOT).long()
            before = self._sums[instrument.name].get(site)
            self._sums[instrument.name][site] = sums if before is None else before + sums

    def _record(self, look: Look, kind: Kind, instruments: Sequence[Instrument] | None = None) -> None:
        snapshot = kind is Kind.SNAPSHOT
        if snapshot:
            self._snapped = look.step
        if self._writer is None or self._scalars is None:
            self._schedule.every = ranks.agreed(self._schedule.every, self._device)
            return
        self._fold()
        values: Values = {}
        for instrument in self._instruments if instruments is None else instruments:
            values |= {name: layers for name, layers in instrument.read(look, snapshot).items() if layers}
        scalars, arrays = _fetched(values)
        if scalars:
            self._writer.reading("sample", look.step, values=scalars)
        self._scalars.add(
            look.step, {f"{measure}/{layer}": v for measure, layers in scalars.items() for layer, v in layers.items()}
        )
        if snapshot:
            self._writer.snapshot(look.step, arrays)
            self._save_state()
            self._describe()
        if instruments is None:
            self._schedule.revise(self._cost)
            self._schedule.every = ranks.agreed(self._schedule.every, self._device)

    def _save_state(self) -> None:
        assert self._writer is not None
        states = {f"{i.name}{SEPARATOR}{name}": array for i in self._instruments for name, array in i.state().items()}
        stage = {_STAGE: np.array(self._stage), _STAGE_STEP: np.array(self._stage_step)}
        self._writer.save_state({**states, **stage})

    def _fold(self) -> None:
        if self._flips is not None and self._writer is not None:
            rows = self._flips.fold()
            self._writer.steps(self._step - len(rows) + 1, rows)
        self._written = self._step

    def _describe(self, **more: Any) -> None:
        assert self._writer is not None
        self._writer.describe(
            {
                "bittern": __version__,
                "layers": [
                    {"name": w.name, "weights": w.parameter.numel(), "filters": len(w.parameter)} for w in self._weights
                ],
                "instruments": [instrument.name for instrument in self._instruments],
                "measures": [
                    {"name": measure.name, "equation": measure.equation, "unit": measure.unit, "source": i.source}
                    for i in self._instruments
                    for measure in i.measures
                ],
                "schedule": {
                    "sample_every": self._schedule.every,
                    "snapshot_every": self._schedule.snapshot_every,
                    "budget": self._schedule.budget,
                },
                "cost": {"share": self._cost.share, "steps": {str(k): n for k, n in self._cost.steps.items()}},
                **more,
            }
        )


def watch(
    model: nn.Module,
    optimizer: Optimizer | Iterable[Optimizer],
    out: str | Path,
    **options: Any,
) -> Watch:
    """Watches how ``model`` trains, and writes what it sees into the folder ``out``::

        with study.watch(model, optimizer, "runs/mine/study") as watch:
            for images, labels in batches:
                optimizer.zero_grad()
                loss(model(images), labels).backward()
                optimizer.step()
                watch.step()

    The model is not changed and trains to the same weights. Binary layers are the modules with the class attribute
    ``latent_weights``; activations are seen where they pass ``bittern::binarize``. Under DistributedDataParallel every
    process calls it; the first one writes. With a GradScaler call ``step`` after the scaler's, so that gradients are
    unscaled.

    Args:
        instruments: names (``list_instruments``) or instruments of your own; by default all that need nothing more.
        sample_every: steps between samples; by default the fewest that keep to ``budget``.
        snapshot_every: samples between snapshots, which hold maps and histograms.
        budget: what watching may cost, as a share of the time of training without it.
        step: steps that were made before; above 0 goes on with the study in ``out`` and cuts off what lies behind.
        stage: name of this part of the training; C2I is counted from its start too.
        probe: the loss of ``model`` on one fixed batch, for the instrument ``mismatch``; not in several processes.
        references: other weights that C2I is counted from: name -> {layer: tensor}.

    Raises:
        ValueError: no binary layer, an unknown instrument, a number out of range, a probe in several processes.
        StudyError: ``out`` holds another study, or one that cannot be gone on with.
    """
    return Watch(model, optimizer, out, **options)


def _instruments(
    wanted: Sequence[str | Instrument] | None,
    model: nn.Module,
    probe: Loss | None,
    references: Mapping[str, Mapping[str, Tensor]] | None,
) -> list[Instrument]:
    if wanted is None:
        wanted = [name for name, row in INSTRUMENTS.items() if row.default or (row is Mismatch and probe is not None)]
    special: dict[str, Callable[[], Instrument]] = {Correlation.name: lambda: Correlation(references)}
    if probe is not None:
        fixed = probe
        special[Mismatch.name] = lambda: Mismatch(model, fixed)
    elif Mismatch.name in wanted:
        raise ValueError(f"instrument {Mismatch.name!r} needs probe, the loss of the model on one fixed batch")
    found = [i if isinstance(i, Instrument) else special.get(i, get_instrument(i))() for i in wanted]
    if world_size() > 1 and any(isinstance(instrument, Mismatch) for instrument in found):
        raise ValueError(
            f"probe needs training in one process, not {world_size()}: the others would not take part in its passes; "
            "leave it out, and call study.agreement on a checkpoint in a process of its own"
        )
    return found


def _optimizers(optimizer: Optimizer | Iterable[Optimizer]) -> list[Optimizer]:
    given: list[Any] = [optimizer] if hasattr(optimizer, "param_groups") else list(optimizer)
    unwrapped = [getattr(one, "optimizer", one) for one in given]  # Lightning Fabric's wrapper holds a stale state
    return [part for one in unwrapped for part in getattr(one, "optimizers", [one])]  # CaseOptimizer's parts


def _described(optimizer: Optimizer) -> dict[str, Any]:
    """Class, and the numbers of each group."""
    groups = [
        {key: value for key, value in group.items() if isinstance(value, int | float | str | list | tuple)}
        for group in optimizer.param_groups
    ]
    for group in groups:
        group.pop("params", None)
    return {"class": type(optimizer).__name__, "groups": groups}


def _observable(model: nn.Module) -> bool:
    """Not if it is compiled, or a part of it: hooks that come and go would compile it again and again."""
    parts = model.modules()
    return not any(hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) for part in parts)


def _has_parts(weights: Sequence[Any]) -> bool:
    return any(type(weight.parameter.data).__name__ == "DTensor" for weight in weights)


def _fetched(values: Values) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Scalars, and arrays by "measure|layer"; one transfer for all."""
    tensors = [tensor for layers in values.values() for tensor in layers.values()]
    if not tensors:
        return {}, {}
    wide = torch.float32 if tensors[0].device.type == "mps" else torch.float64
    parts = iter(torch.cat([t.reshape(-1).to(wide) for t in tensors]).cpu().split([t.numel() for t in tensors]))
    scalars: dict[str, dict[str, float]] = {}
    arrays: dict[str, Any] = {}
    for measure, layers in values.items():
        for layer, tensor in layers.items():
            part = next(parts)
            if tensor.dim() == 0:
                scalars.setdefault(measure, {})[layer] = float(part)
            else:
                exact = not tensor.is_floating_point()
                arrays[f"{measure}{SEPARATOR}{layer}"] = part.numpy().astype(np.int64 if exact else np.float32)
    return scalars, arrays
