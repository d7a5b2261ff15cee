"""What the first process of a training writes into a study's folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer

from bittern import __version__
from bittern._run_files import TENSORBOARD_FOLDER
from bittern._tensorboard import EventWriter
from bittern.study.files import SEPARATOR, StudyWriter
from bittern.study.instruments.base import Instrument, Readings
from bittern.study.instruments.flips import Flips
from bittern.study.look import Look
from bittern.study.optimizers import describe_optimizer
from bittern.study.schedule import Cost, SamplingSchedule

_STAGE, _STAGE_STEP = "stage", "stage_step"  # names in state.npz


class Recorder:
    """Reads ``instruments`` and writes what they say into ``folder``, from step ``step`` of stage ``stage`` on."""

    def __init__(
        self,
        folder: Path,
        step: int,
        stage: str,
        instruments: Sequence[Instrument],
        schedule: SamplingSchedule,
        cost: Cost,
    ) -> None:
        self._writer = StudyWriter(folder, step)
        self._events = EventWriter(folder / TENSORBOARD_FOLDER, step)
        self._stage = stage
        self._instruments = instruments
        self._flips = next((one for one in instruments if isinstance(one, Flips)), None)
        self._schedule, self._cost = schedule, cost

    def begin(self, look: Look, optimizers: Sequence[Optimizer], notes: Sequence[str]) -> None:
        """Starts the instruments with the weights of ``look``, or resumes them from the state on disk."""
        info = self._writer.info if look.step else {}
        saved: dict[str, Any] = self._writer.load_state() if look.step else {}
        same_stage = str(saved.get(_STAGE, "")) == self._stage and int(saved.get(_STAGE_STEP, 0)) < max(look.step, 1)
        self._stage_step = int(saved[_STAGE_STEP]) if saved and same_stage else look.step
        for instrument in self._instruments:
            prefix = instrument.name + SEPARATOR
            own = {name.removeprefix(prefix): value for name, value in saved.items() if name.startswith(prefix)}
            # Only what is counted from the run's start outlives a stage.
            instrument.begin(look, own if same_stage else {n: v for n, v in own.items() if n.startswith("c2i|")})
        if not same_stage or not saved:
            self._writer.write_reading(
                "stage",
                look.step,
                stage=self._stage,
                optimizers=[describe_optimizer(optimizer) for optimizer in optimizers],
                binarized=all(weight.binarized for weight in look.weights),
                latent_free=all(weight.latent_free for weight in look.weights),
            )
        if self._schedule.adapt:
            schedule = self._writer.info.get("schedule", {})
            self._schedule.every = max(self._schedule.every, int(schedule.get("sample_every", 0)))
        lost = [f"the counts up to step {look.step}: the file is lost; C2I is counted from there"]
        all_notes = [*info.get("notes", []), *(lost if info and not saved else []), *notes]
        layers = [{"name": w.name, "weights": w.parameter.numel(), "filters": len(w.parameter)} for w in look.weights]
        self._describe(layers=layers, notes=list(dict.fromkeys(all_notes)))

    def record(self, look: Look, snapshot: bool, instruments: Sequence[Instrument] | None = None) -> None:
        """Writes a sample of ``instruments``, by default of all; with maps, histograms and state if ``snapshot``."""
        self.fold(look.step)
        readings: Readings = {}
        for instrument in self._instruments if instruments is None else instruments:
            readings |= {name: layers for name, layers in instrument.read(look, snapshot).items() if layers}
        scalars, arrays = _fetch(readings)
        if scalars:
            self._writer.write_reading("sample", look.step, values=scalars)
        tags = {f"{measure}/{layer}": v for measure, layers in scalars.items() for layer, v in layers.items()}
        self._events.add(look.step, tags)
        if snapshot:
            self._writer.write_snapshot(look.step, arrays)
            self._save_state()
            self._describe()

    def end_epoch(self, step: int, number: int, stage: str) -> None:
        """Writes that an epoch ended, and the state: a checkpoint may be next."""
        self.fold(step)
        self._save_state()
        self._writer.write_reading("epoch", step, stage=stage or self._stage, epoch=number)

    def fold(self, step: int) -> None:
        """Writes the flips of the steps up to ``step``."""
        if self._flips is not None:
            rows = self._flips.fold()
            self._writer.write_steps(step - len(rows) + 1, rows)

    def close(self) -> None:
        self._writer.close()
        self._events.close()

    def _save_state(self) -> None:
        states = {f"{i.name}{SEPARATOR}{name}": array for i in self._instruments for name, array in i.state().items()}
        stage = {_STAGE: np.array(self._stage), _STAGE_STEP: np.array(self._stage_step)}
        self._writer.save_state({**states, **stage})

    def _describe(self, **more: Any) -> None:
        self._writer.describe(
            {
                "bittern": __version__,
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


def _fetch(readings: Readings) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Scalars, and arrays by "measure|layer"; one transfer from the device for all."""
    tensors = [tensor for layers in readings.values() for tensor in layers.values()]
    if not tensors:
        return {}, {}
    wide = torch.float32 if tensors[0].device.type == "mps" else torch.float64
    parts = iter(torch.cat([t.reshape(-1).to(wide) for t in tensors]).cpu().split([t.numel() for t in tensors]))
    scalars: dict[str, dict[str, float]] = {}
    arrays: dict[str, Any] = {}
    for measure, layers in readings.items():
        for layer, tensor in layers.items():
            part = next(parts)
            if tensor.dim() == 0:
                scalars.setdefault(measure, {})[layer] = float(part)
            else:
                exact = not tensor.is_floating_point()
                arrays[f"{measure}{SEPARATOR}{layer}"] = part.numpy().astype(np.int64 if exact else np.float32)
    return scalars, arrays
