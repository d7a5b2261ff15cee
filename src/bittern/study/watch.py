"""``watch``: the instruments on any PyTorch training loop."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bittern._distributed import is_first
from bittern.study import ranks
from bittern.study.instruments import build_instruments
from bittern.study.instruments.base import Instrument
from bittern.study.instruments.flips import FOLD_EVERY
from bittern.study.instruments.mismatch import Loss
from bittern.study.intercept import Interception, can_intercept
from bittern.study.layers import latent_weights, unwrap
from bittern.study.look import Look
from bittern.study.optimizers import unwrap_optimizers
from bittern.study.recorder import Recorder
from bittern.study.schedule import LADDER, Cost, SamplingSchedule, StepKind


class Watch:
    """Watches how ``model`` trains, and writes what it sees into the folder ``out``::

        with study.watch(model, optimizer, "runs/mine/study") as watch:
            for images, labels in batches:
                optimizer.zero_grad()
                loss(model(images), labels).backward()
                optimizer.step()
                watch.step()

    The model is not changed and trains to the same weights. Binary layers are the modules with the class attribute
    ``latent_weights``; activations are seen where they pass ``bittern::binarize``. Under DistributedDataParallel every
    process must call it; the first one writes. With a GradScaler call ``step`` after the scaler's, so that gradients
    are unscaled.

    Args:
        optimizer: the model's optimizer, or all of them.
        instruments: names (``list_instruments``) or instruments of your own; by default all that need nothing more.
        sample_every: steps between samples; by default the fewest that keep within ``budget``.
        snapshot_every: samples between snapshots, which hold maps and histograms.
        budget: what watching may cost, as a share of the time of training without it.
        step: steps made before; above 0 continues the study in ``out`` and removes what lies beyond that step.
        stage: name of this part of the training; C2I is also counted from its start.
        probe: the loss of ``model`` on one fixed batch, for the instrument ``mismatch``; not in several processes.
        references: other weights to count C2I from: name -> {layer: tensor}.

    Raises:
        ValueError: no binary layer, an unknown instrument, a number out of range, a probe in several processes.
        StudyError: ``out`` holds another study, or one that cannot be continued.
    """

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
        network = unwrap(model)
        self._optimizers = unwrap_optimizers(optimizer)
        self._weights = latent_weights(network)
        self._device = self._weights[0].parameter.device
        self._instruments = build_instruments(instruments, network, probe, references)
        observable = can_intercept(model)
        self._observing = [i for i in self._instruments if i.observes] if observable else []
        self._first = is_first()
        if not self._first:
            self._instruments = self._observing
        self._schedule = SamplingSchedule(sample_every or LADDER[0], snapshot_every, budget, adapt=sample_every is None)
        self._cost = Cost(on_cpu=self._device.type == "cpu")
        self._interception = Interception(network, self._visit)
        self._sums: ranks.Sums = {}
        self._before: dict[str, Tensor] = {}
        self._step = self._last_snapshot = step
        self._closed = False
        look = Look(step, self._weights, self._optimizers)
        self._recorder: Recorder | None = None
        if self._first:
            self._recorder = Recorder(Path(out), step, stage, self._instruments, self._schedule, self._cost)
            self._recorder.begin(look, self._optimizers, [] if observable else ["activations: the model is compiled"])
        else:
            for instrument in self._instruments:
                instrument.begin(look, {})
        self._plan(first=True)

    @property
    def share(self) -> float:
        """What watching costs, as a share of the time of training without it."""
        return self._cost.share

    def step(self) -> None:
        """Call after every step of the optimizer, while the gradients are still there."""
        began = self._cost.now()
        self._step += 1
        kind, first = self._kind, self._first_step
        look = Look(self._step, self._weights, self._optimizers, self._before)
        with torch.no_grad():
            for instrument in self._instruments:
                instrument.every_step(look)
            if kind is not StepKind.PLAIN:
                self._sample(kind)
            elif self._recorder is not None and self._step % FOLD_EVERY == 0:
                self._recorder.fold(self._step)
            self._plan(first=False)
        self._cost.add(kind, began, count=not first)

    def epoch(self, number: int, stage: str = "") -> None:
        """Call when epoch ``number`` of a stage has ended. After the first one the next step is a snapshot."""
        if self._recorder is not None:
            self._recorder.end_epoch(self._step, number, stage)
        if number == 1 or self._step - self._last_snapshot >= self._schedule.window:
            self._plan(first=self._first_step, snapshot=True)
        self._cost.resume()

    def close(self) -> None:
        """Ends the watch with a last snapshot of what weights alone tell. Hooks are gone, the model is as it was."""
        if self._closed:
            return
        self._closed = True
        self._interception.close()
        if self._recorder is None:
            return
        try:
            with torch.no_grad():
                if self._step > self._last_snapshot:
                    final = [instrument for instrument in self._instruments if instrument.final]
                    self._recorder.record(Look(self._step, self._weights, window_ends=False), True, final)
        finally:
            self._recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _plan(self, first: bool, snapshot: bool = False) -> None:
        """Chooses what happens at the next step, and prepares it."""
        self._first_step = first
        self._kind = StepKind.SNAPSHOT if snapshot else self._schedule.kind(self._step + 1, first)
        self._before, self._sums = {}, {instrument.name: {} for instrument in self._observing}
        if self._kind is StepKind.PLAIN:
            return
        if self._first:
            self._before = {w.name: w.values.float().clone() for w in self._weights}
        if self._observing:
            self._interception.open()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # else the sample would wait for, and be charged with, what was queued

    def _visit(self, site: str, module: nn.Module, x: Tensor) -> None:
        for instrument in self._observing:
            sums = instrument.observe(module, x, self._kind is StepKind.SNAPSHOT).long()
            before = self._sums[instrument.name].get(site)
            self._sums[instrument.name][site] = sums if before is None else before + sums

    def _sample(self, kind: StepKind) -> None:
        self._interception.close()
        sums = ranks.sum_over_processes(self._sums)
        window_ends = self._schedule.window_ends(self._step)
        look = Look(self._step, self._weights, self._optimizers, self._before, sums, window_ends)
        if kind is StepKind.SNAPSHOT:
            self._last_snapshot = self._step
        if self._recorder is not None:
            self._recorder.record(look, kind is StepKind.SNAPSHOT)
            self._schedule.revise(self._cost)
        self._schedule.every = ranks.broadcast_from_first(self._schedule.every, self._device)


watch = Watch
"""The class under the verb that reads well in ``with study.watch(model, optimizer, folder) as watch``."""
