"""From a loss to changed weights: accumulation, loss scaling, clipping, the optimiser, its schedule, EMA."""

import logging
import math
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .ema import Ema
from .grouping import Grouping
from .schedules import Schedule

log = logging.getLogger(__name__)

MOMENTUM_SETTINGS = {"momentum", "betas"}  # which of them a group has tells SGD from Adam
DEVICE_SETTINGS = ("fused", "foreach")  # settings of a group that belong to the device, not to the run


def steps_per_epoch(batches: int, iter_size: int) -> int:
    """Count the optimiser steps of an epoch; the last one may have fewer than `iter_size` batches."""
    return math.ceil(batches / iter_size)


class Stepper:
    """Optimiser of a task: one step for every `iter_size` batches.

    Args:
        task: What learns; `task.model.network` is deployed. Optimisers that `task.own_optimizers()` gives by name step
            whenever `optimizer` does, at the rates of `task.own_rates()`; their parameters are not clipped.
        optimizer: Of all other parameters of the task; groups that are alike are joined, see `Grouping`.
        schedule: Told of every step.
        iter_size: Batches whose gradients make a step.
        clip_grad: Max gradient norm; 0: no clipping.
        scaler: For float16. If a gradient is not finite the weights stay and the scale falls; the schedule goes on,
            for asking whether that was so would wait for the device.
        ema: EMA of the weights.

    Attributes:
        pending: Batches whose gradients no step has used yet.
    """

    def __init__(
        self,
        task: nn.Module,
        optimizer: Optimizer,
        schedule: Schedule,
        *,
        iter_size: int = 1,
        clip_grad: float = 0.0,
        scaler: torch.amp.GradScaler | None = None,
        ema: Ema | None = None,
    ) -> None:
        self.task, self.optimizer, self.schedule = task, optimizer, schedule
        self.iter_size, self.clip_grad, self.scaler, self.ema = iter_size, clip_grad, scaler, ema
        self.grouping = Grouping(optimizer, schedule)
        build: Callable[[], dict[str, Optimizer]] = getattr(task, "own_optimizers", dict)
        self.loss_optimizers = build()
        self.pending = 0

    def begin_epoch(self) -> None:
        """Set the learning rates of the optimisers that losses bring, which the task knows for its epoch."""
        rates: Callable[[], dict[str, float]] = getattr(self.task, "own_rates", dict)
        for name, rate in rates().items():
            for group in self.loss_optimizers[name].param_groups:
                group["lr"] = rate

    def group(self, index: int, batches: int) -> int:
        """Return the size, in batches, of the step that batch `index`, from 0 in an epoch of `batches`, belongs to."""
        return min(self.iter_size, batches - index + index % self.iter_size)

    def closes(self, index: int, batches: int) -> bool:
        """Return whether batch `index` is the last one of its step."""
        return (index + 1) % self.iter_size == 0 or index + 1 == batches

    def backward(self, loss: Tensor, group: int) -> None:
        """Add the gradient of a batch's mean loss to that of its step, the mean over `group` batches."""
        if group > 1:
            loss = loss / group
        (self.scaler.scale(loss) if self.scaler else loss).backward()
        self.pending += 1

    def step(self) -> Tensor | None:
        """Update the weights by the accumulated gradients.

        Returns the norm of the gradient before it was clipped, a scalar on the device; None if nothing is clipped.
        """
        optimizers, norm = (self.optimizer, *self.loss_optimizers.values()), None
        if self.scaler:
            for optimizer in optimizers:
                self.scaler.unscale_(optimizer)
        if self.clip_grad:
            norm = nn.utils.clip_grad_norm_(self.clipped(), self.clip_grad)
        for optimizer in optimizers:
            if self.scaler:
                self.scaler.step(optimizer)  # each is left out for infinities of its own gradients alone
            else:
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.scaler:
            self.scaler.update()
        self.pending = 0
        self.schedule.step()
        if self.ema:
            self.ema.update()
        return norm

    def clipped(self) -> list[nn.Parameter]:
        """Return the parameters whose gradients are clipped: those with an optimiser of their own are not."""
        groups = [group for optimizer in self.loss_optimizers.values() for group in optimizer.param_groups]
        separate = {id(parameter) for group in groups for parameter in group["params"]}
        return [parameter for parameter in self.task.parameters() if id(parameter) not in separate]

    def averaged(self) -> AbstractContextManager[None]:
        """Put the weights that are deployed into the network within the block: the EMA, if there is one."""
        return self.ema.applied() if self.ema else nullcontext()

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors for a checkpoint, to be taken between steps.

        With EMA, the average is its "state_dict", which is deployed; "raw_state_dict" are the network's weights.
        """
        assert not self.pending, "a checkpoint within a step would lose its gradients"
        with self.grouping.apart():
            state = {"optimizer": self.optimizer.state_dict(), "scheduler": self.schedule.state()}
        if self.loss_optimizers:
            state["own_optimizers"] = {name: optimizer.state_dict() for name, optimizer in self.loss_optimizers.items()}
        if self.scaler:
            state["scaler"] = self.scaler.state_dict()
        if self.ema:
            state["ema"] = self.ema.state()
            state |= {"state_dict": self.ema.average, "raw_state_dict": self.ema.network.state_dict()}
        return state

    def load(self, state: Mapping[str, Any], source: str, changed: Collection[str] = ()) -> None:
        """Go on from a checkpoint whose deployable weights the network has already; what it lacks starts afresh.

        A warning with the name of the file, `source`, says so. Settings of the optimiser's groups that have `changed`
        stay as they are here. A schedule goes on with the new "lr" as its full rate; the rate that a plateau has
        lowered is replaced by it.
        """
        with self.grouping.apart():
            same = load_optimizer(self.optimizer, state.get("optimizer"), (*DEVICE_SETTINGS, *changed))
            if not same:
                log.warning("%s: its optimizer state does not fit this run and starts afresh", source)
            self.load_schedule(state.get("scheduler"), source, rates=same and "lr" not in changed)
        self.load_loss_optimizers(state.get("own_optimizers"), source)
        if self.scaler and state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        elif self.scaler:
            log.warning("%s: holds no loss scale, which starts afresh", source)
        self.load_weights(state, source)

    def load_loss_optimizers(self, states: Any, source: str) -> None:
        """Restore the optimisers of losses; their settings are those of the losses here."""
        for name, optimizer in self.loss_optimizers.items():
            settings = [setting for group in optimizer.param_groups for setting in group if setting != "params"]
            state = states.get(name) if isinstance(states, Mapping) else None
            if not load_optimizer(optimizer, state, settings):
                log.warning("%s: its optimizer state of %s does not fit this run and starts afresh", source, name)

    def load_schedule(self, state: Any, source: str, *, rates: bool) -> None:
        """Restore the schedule, with its full rates if the optimiser was restored as well."""
        if isinstance(state, Mapping) and state.get("kind") == self.schedule.kind:
            self.schedule.load(state, rates=rates)
        else:
            if state:  # the rates in the optimiser's state are the other schedule's
                self.schedule.apply()
            log.warning(
                "%s: holds %s learning-rate schedule, which starts afresh", source, "another" if state else "no"
            )

    def load_weights(self, state: Mapping[str, Any], source: str) -> None:
        """Restore the EMA, and the weights that are trained where those that are deployed differ from them."""
        if raw := state.get("raw_state_dict"):
            self.task.get_submodule("model.network").load_state_dict(raw)
        if self.ema and raw and "ema" in state:
            self.ema.load(state["ema"], state["state_dict"])
        elif self.ema:
            self.ema.restart()
            log.warning("%s: holds no EMA of the weights, which starts afresh", source)


def load_optimizer(optimizer: Optimizer, state: Any, settings: Collection[str] = DEVICE_SETTINGS) -> bool:
    """Restore an optimiser, if the state is of such an optimiser and of such parameters; return whether it is.

    The settings of the groups, learning rate and others, become those of the state, but for those of `settings`.
    """
    if not isinstance(state, Mapping) or "param_groups" not in state or not fits(optimizer, state):
        return False
    groups = [
        dict(saved) | {name: current[name] for name in settings if name in current}
        for saved, current in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict({"state": state["state"], "param_groups": groups})
    return True


def fits(optimizer: Optimizer, state: Mapping[str, Any]) -> bool:
    """Return whether a state has the groups of an optimiser, with parameters of the same shapes."""
    saved, current = state["param_groups"], optimizer.param_groups
    if [len(group["params"]) for group in saved] != [len(group["params"]) for group in current]:
        return False
    if any(MOMENTUM_SETTINGS & a.keys() != MOMENTUM_SETTINGS & b.keys() for a, b in zip(saved, current, strict=True)):
        return False
    indices = [index for group in saved for index in group["params"]]
    parameters = [parameter for group in current for parameter in group["params"]]
    return all(
        not isinstance(value, Tensor) or value.dim() == 0 or value.shape == parameter.shape
        for index, parameter in zip(indices, parameters, strict=True)
        for value in state["state"].get(index, {}).values()
    )
