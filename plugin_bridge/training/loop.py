"""The training loop: a recipe and songs in, weights out."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO, TypeGuard

import torch
from torch import Tensor, nn

from plugin_bridge.errors import ModelError
from plugin_bridge.separation import checkpoint, networks
from plugin_bridge.separation.device import compute_device, half_precision
from plugin_bridge.separation.networks.network import CausalNetwork, Network, SelfMeasuringNetwork
from plugin_bridge.training.acceleration import accelerated
from plugin_bridge.training.continued_parts import ContinuedParts
from plugin_bridge.training.interruptions import interruptions
from plugin_bridge.training.loss_scale import FIRST, LossScale
from plugin_bridge.training.losses import loss_of
from plugin_bridge.training.own_loss import OwnLoss
from plugin_bridge.training.progress import Progress, load_progress, save_progress
from plugin_bridge.training.ranks import Ranks
from plugin_bridge.training.recipe import Recipe
from plugin_bridge.training.remix import Batch, Batches
from plugin_bridge.training.remix_prefetch import Prefetch
from plugin_bridge.training.run_conditions import begin_with, check_fit, check_parts

_LOG_EVERY_SECONDS = 5.0

_SAVE, _END = 1, 2
"""What the first rank may decide before a step, for all."""


@dataclass(frozen=True)
class Outcome:
    """What a run came to: steps done, seconds spent, the last mean loss, and whether it is finished."""

    steps: int
    seconds: float
    loss: float
    finished: bool


@dataclass
class Run:
    """One run in a folder: `progress.safetensors` to go on from, `weights.safetensors`, `log.csv`.

    With the recipe, the songs and the folder alike, an interrupted run that goes on sees the same batches
    and gives the same losses as an unbroken one. `note` is told what happens, a line each. `begin` names
    weights to begin with; the folder keeps a copy of them.

    Raises `ModelError` for a network that cannot be built or a checkpoint that does not fit, and
    `DeviceError` for a device that is not there.
    """

    recipe: Recipe
    batches: Batches
    folder: Path
    device: str = "auto"
    resume: bool = False
    note: Callable[[str], None] = print
    ranks: Ranks = field(default_factory=Ranks.alone)
    begin: Path | None = None

    def __post_init__(self) -> None:
        recipe = self.recipe
        torch.manual_seed(recipe.seed)
        self._place = self.ranks.device or compute_device(self.device)
        self.network = _built(recipe).to(self._place)
        check_fit(self.network, self.batches)
        check_parts(self.network, recipe.examples.consecutive, self.batches.sampling.frames)
        self._beginning = checkpoint.read(self.begin) if self.begin and not self.resume else None
        if self.begin and self._beginning:
            begin_with(self.network, self._beginning, self.begin)
        self.average = deepcopy(self.network).eval().requires_grad_(False)
        if recipe.compiled:
            accelerated(self.network, self.note)
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            recipe.optimiser.learning_rate,
            betas=recipe.optimiser.betas,
            weight_decay=recipe.optimiser.weight_decay,
        )
        self._loss = loss_of(recipe.objective)
        self._half = half_precision(self._place) if recipe.mixed_precision else None
        self._progress = Progress(scale=self._first_scale())
        if self.resume:
            self._go_on()
        elif self._path.exists() and self.ranks.first:
            raise ModelError(
                f"a new run must begin in an empty folder, got {self.folder}, which holds one; "
                "go on with --resume or choose another folder"
            )
        self._stepping = self.ranks.share(self._called())
        self._seconds_begun = self._progress.seconds

    def _called(self) -> nn.Module:
        """What a step calls, as a module."""
        network = self.network
        if isinstance(network, SelfMeasuringNetwork):
            return OwnLoss(network)
        return ContinuedParts(network) if self._continues(network) else network

    def _continues(self, network: Network) -> TypeGuard[CausalNetwork]:
        """Whether batches go on from where those before them were."""
        return isinstance(network, CausalNetwork) and self.recipe.examples.consecutive > 1

    def _first_scale(self) -> LossScale:
        return LossScale(FIRST if self._half == torch.float16 else 1.0)

    @property
    def _path(self) -> Path:
        return self.folder / "progress.safetensors"

    @property
    def _begun_from(self) -> Path:
        return self.folder / "begun_from.safetensors"

    def _keep_beginning(self) -> None:
        """Keep the weights that the run begins with, and none of a run that never came to anything."""
        if self._beginning:
            checkpoint.write(self._begun_from, self._beginning.tensors, self._beginning.texts)
        else:
            self._begun_from.unlink(missing_ok=True)

    def _go_on(self) -> None:
        found = load_progress(self._path, self.recipe.digest, self.network, self.average, self._optimiser)
        carried = self.ranks.own(found.carried)
        found.carried = {name: value.to(self._place) for name, value in carried.items()}
        if found.scale.factor == 1:  # a run that began in single precision
            found.scale = self._first_scale()
        self._progress = found
        self.note(f"going on from step {found.step}, after {found.seconds / 60:.1f} minutes")

    def train(self) -> Outcome:
        """Train until the budget is spent, or until Ctrl-C or SIGTERM; everything is saved then.

        Raises `ModelError` when the loss is not finite: the last good checkpoint stays.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.ranks.first and not self.resume:
            self._keep_beginning()
        progress = self._progress
        self.network.train()
        begun = saved = time.monotonic()
        with interruptions() as asked, self._log() as log, self._prefetch() as prefetch:
            for step, batch in prefetch:
                # Ranks that ended each by its own clock would wait for each other for good.
                due = self.ranks.agreed(_END if asked or self._spent() else _SAVE if self._late(saved) else 0)
                if due == _END:
                    break
                if due == _SAVE:
                    self.save()
                    saved = time.monotonic()
                progress.loss = self._step(step, batch)
                progress.step = step + 1
                spent = self._seconds_begun + time.monotonic() - begun
                progress.seconds = self.ranks.agreed(round(1000 * spent)) / 1000  # the rate follows from it
                log(progress)
            waited = prefetch.waited_seconds
        self.save()
        self.note(
            f"{progress.step} steps in {progress.seconds / 60:.1f} minutes, loss {progress.loss:.5f}; "
            f"waited {waited:.1f} s for examples"
        )
        return Outcome(progress.step, progress.seconds, progress.loss, self._spent())

    def _prefetch(self) -> Prefetch:
        workers = max(1, min(4, (os.cpu_count() or 1) // 2))
        return Prefetch(self.batches, first_step=self._progress.step, workers=workers)

    def _step(self, step: int, batch: Batch) -> float:
        """Learn from one batch, and tell its loss."""
        optimiser, recipe = self._optimiser, self.recipe.optimiser
        stems = torch.from_numpy(batch.stems).to(self._place, non_blocking=True)
        fresh = torch.from_numpy(batch.fresh).to(self._place)
        loss = self._measured(stems, fresh)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the loss must be finite, got {value} at step {step}; the last good checkpoint stays in "
                f"{self.folder}: lower the learning rate and resume"
            )
        scale = self._progress.scale
        scale.backward(loss / recipe.accumulate)
        if (step + 1) % recipe.accumulate == 0:
            scale.undo(self.network.parameters())
            norm = nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
            finite = bool(torch.isfinite(norm))
            scale.follow(finite)
            if finite:
                for group in optimiser.param_groups:
                    group["lr"] = self.learning_rate(step)
                optimiser.step()
                self._follow()
            else:
                self.note(f"step {step} is left out: its gradient is not finite")
            optimiser.zero_grad(set_to_none=True)
        return value

    def _measured(self, stems: Tensor, fresh: Tensor) -> Tensor:
        """The loss: the network's own, where it has one, else the objective's."""
        half = torch.autocast(self._place.type, dtype=self._half, enabled=self._half is not None)
        if isinstance(self.network, SelfMeasuringNetwork):
            with half:
                own: Tensor = self._stepping(stems.sum(1), stems)
            return own
        with half:
            estimates, wanted = self._compared(stems, fresh)
        return self._loss(_completed(estimates.float(), wanted), wanted)

    def _compared(self, stems: Tensor, fresh: Tensor) -> tuple[Tensor, Tensor]:
        """Estimates, and the stems that they should be.

        A causal network goes on from where the streams of its batch were, and is late by its latency: what
        it must give for the end of one part comes out with the next.
        """
        network = self.network
        if not self._continues(network):
            return self._stepping(stems.sum(1)), stems
        late, blank = network.latency, network.state(len(stems))
        blank["stems"] = stems.new_zeros(*stems.shape[:3], late)
        state = {
            name: _renewed(self._progress.carried.get(name, new), new, fresh) for name, new in blank.items()
        }
        due = torch.cat((state.pop("stems"), stems), dim=-1)
        estimates, state = self._stepping(stems.sum(1), state)
        state["stems"] = due[..., stems.shape[-1] :]
        self._progress.carried = {name: value.detach() for name, value in state.items()}
        return estimates, due[..., : stems.shape[-1]]

    @torch.no_grad()
    def _follow(self) -> None:
        """Let the average of the weights follow them; young averages follow faster."""
        steps = 1 + self._progress.step // self.recipe.optimiser.accumulate
        slow = min(self.recipe.optimiser.average, steps / (steps + 10))
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        for name, value in ours.items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name].to(value), 1 - slow)
            else:
                value.copy_(theirs[name])

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step: a linear warm-up, a cosine over the budget of steps or minutes."""
        recipe = self.recipe.optimiser
        warm = min(1.0, (step + 1) / max(1, recipe.warm_up_steps))
        low = recipe.final_share
        wave = 0.5 * (1 + math.cos(math.pi * self._share(step)))
        return recipe.learning_rate * warm * (low + (1 - low) * wave)

    def _share(self, step: int) -> float:
        """How much of the budget is spent; minutes by the clock, since no pace holds for hours."""
        budget = self.recipe.budget
        if budget.steps is not None:
            return min(1.0, step / budget.steps)
        return min(1.0, self._progress.seconds / (60 * budget.minutes)) if budget.minutes else 0.0

    def _late(self, saved: float) -> bool:
        return time.monotonic() - saved > 60 * self.recipe.budget.checkpoint_minutes

    def _spent(self) -> bool:
        budget = self.recipe.budget
        if budget.steps is not None:
            return self._progress.step >= budget.steps
        return budget.minutes is not None and self._progress.seconds >= 60 * budget.minutes

    def save(self) -> None:
        """Write the checkpoint and the averaged weights. Raises `ModelError` where they cannot be written."""
        carried = self.ranks.gathered(self._progress.carried)
        if not self.ranks.first:
            return
        progress = replace(self._progress, carried=carried)
        save_progress(self._path, progress, self.recipe.digest, self.network, self.average, self._optimiser)
        notes: dict[str, Any] = {
            "steps": self._progress.step,
            "minutes": round(self._progress.seconds / 60, 2),
        }
        if self._begun_from.exists():
            notes["before"] = checkpoint.training_notes(checkpoint.read(self._begun_from))
        checkpoint.save(self.average, self.folder / "weights.safetensors", notes)

    @contextmanager
    def _log(self) -> Iterator[Callable[[Progress], None]]:
        """A CSV and TensorBoard's files, a line for each few seconds."""
        if not self.ranks.first:
            yield lambda progress: None
            return
        from torch.utils.tensorboard import SummaryWriter

        board = SummaryWriter(str(self.folder))
        with (self.folder / "log.csv").open("a", newline="", encoding="utf-8") as file:
            log = _Log(file, board, self)
            try:
                yield log.write
            finally:
                log.write_out(self._progress)
        board.close()


class _Log:
    """Mean losses over the steps since the last line."""

    def __init__(self, file: TextIO, board: Any, run: Run) -> None:
        self._file, self._board, self._run = file, board, run
        self._writer = csv.writer(file)
        if file.tell() == 0:
            self._writer.writerow(["step", "seconds", "learning_rate", "loss"])
        self._losses: list[float] = []
        self._written = time.monotonic()

    def write(self, progress: Progress) -> None:
        self._losses.append(progress.loss)
        if time.monotonic() - self._written >= _LOG_EVERY_SECONDS or progress.step == 1:
            self.write_out(progress)

    def write_out(self, progress: Progress) -> None:
        """A line for what has not had one."""
        if not self._losses:
            return
        loss, rate = sum(self._losses) / len(self._losses), self._run.learning_rate(progress.step - 1)
        self._writer.writerow([progress.step, f"{progress.seconds:.1f}", f"{rate:.3e}", f"{loss:.6f}"])
        self._file.flush()
        self._board.add_scalar("loss", loss, progress.step)
        self._board.add_scalar("learning_rate", rate, progress.step)
        self._losses, self._written = [], time.monotonic()


def _renewed(old: Tensor, new: Tensor, fresh: Tensor) -> Tensor:
    """What a stream remembers: nothing, in the rows where it begins."""
    return torch.where(fresh.reshape(-1, *[1] * (old.dim() - 1)), new, old)


def _completed(estimates: Tensor, stems: Tensor) -> Tensor:
    """Estimates of all stems, one that is not estimated being the rest of their sum, as in a separator.

    Its distance counts too: what the others have too much, or too little, is heard in it.
    """
    if estimates.shape[1] == stems.shape[1]:
        return estimates
    return torch.cat((estimates, (stems.sum(1) - estimates.sum(1))[:, None]), dim=1)


def _built(recipe: Recipe) -> Network:
    try:
        return networks.build(recipe.architecture, recipe.config)
    except ValueError as error:
        raise ModelError(f"a recipe must describe a network that can be built: {error}") from error
