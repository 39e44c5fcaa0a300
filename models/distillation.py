"""Task of distillation: a student, its frozen teachers, and the losses between them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from .backbones.contract import POOLED
from .backbones.output import Output
from .distill.distiller import Distiller, check_weight
from .distill.names import CROSS_ENTROPY, by_name, loss_label, prefix
from .distill.schedule import parse_schedule
from .inference.cached_outputs import DIGESTS, CachedOutputs, clip_digests
from .inference.speed import inference_ready
from .mixing import neighbours
from .streams import StreamNetwork
from .tasks import Batch, Task, check_smoothing


class Distill(Task):
    """Cross-entropy of a student plus distillation from frozen teachers.

    Only the student is meant to be deployed: learnable parts of losses stay in `losses`. Outside training no teacher is
    run, so validation needs none of their views, unless the student knows no classes. Terms of several teachers are
    called "loss_<teacher>_*", their accuracies "acc_teacher_<teacher>".

    Args:
        student: Trained.
        teachers: One, or several by name; frozen, always in eval mode.
        losses: Distillation terms of the one teacher, or of each by name.
        ce_weight: Factor on the cross-entropy, >= 0. With 0, and losses that need none, batches need no "label".
        label_smoothing: Of the cross-entropy alone, see `Classify`.
        other_classes: Names of teachers, "" of the one, whose classes are others than the student's: they have no
            accuracy. So has none with another number of classes.
        knows_classes: Whether the student's outputs are the classes of the labels. If not, labels are not read, there
            are no accuracies, and validation measures the distillation itself.
        other_clips: A control experiment: in training teachers see each clip's neighbour in the batch, and so know
            nothing of it.
        ce_schedule: Of a further factor on the cross-entropy, see `create_distiller`.

    Raises:
        ValueError: If the names of teachers and losses differ, a weight is negative, two losses of a name have
            optimisers of their own, or labels are needed for a student that knows no classes.
    """

    def __init__(  # noqa: PLR0913 - what the options say, by keyword
        self,
        student: StreamNetwork,
        teachers: StreamNetwork | Mapping[str, StreamNetwork],
        losses: Iterable[Distiller] | Mapping[str, Iterable[Distiller]],
        *,
        ce_weight: float = 1.0,
        frozen_norms: Iterable[nn.Module] = (),
        label_smoothing: float = 0.0,
        other_classes: Collection[str] = (),
        knows_classes: bool = True,
        other_clips: bool = False,
        ce_schedule: str = "",
    ) -> None:
        super().__init__(student, frozen_norms)
        self.knows_classes, self.other_clips = knows_classes, other_clips
        self.label_smoothing, self.ce_weight = check_smoothing(label_smoothing), check_weight("--ce_weight", ce_weight)
        self.ce_schedule = parse_schedule(ce_schedule, f"ce_schedule {ce_schedule}")
        self.caches: dict[str, CachedOutputs] = {}
        self.caches_training = False
        named, terms = by_name(teachers, losses)
        self.names = tuple(named)
        self.teachers = nn.ModuleList(teacher.requires_grad_(False) for teacher in named.values())
        lists = [nn.ModuleList(terms[name]) for name in named]
        # With one teacher the names of learnable parts are those of before there could be several.
        self.losses = nn.ModuleList(lists) if isinstance(teachers, Mapping) else lists[0]
        self.reports_accuracy = [
            name not in other_classes and teacher.num_classes == student.num_classes for name, teacher in named.items()
        ]
        every = [loss for _, _, of_teacher in self.teachers_and_losses() for loss in of_teacher]
        self.least_clips = max(2 if other_clips else 1, *(loss.least_clips for loss in every), 1)
        self.trains_head_only_by_ce = any(loss.detaches_head for loss in every)
        self.need_labels = [loss.name for loss in every if loss.needs_labels]
        self.need_labels += [f"cross-entropy (ce_weight {ce_weight})"] if ce_weight > 0 else []
        if self.need_labels and not knows_classes:
            raise ValueError(f"{self.need_labels[0]} needs labels, but the outputs of the student are other classes")
        adversaries = [label for label, _ in self.with_optimizers()]
        if twice := [label for label in adversaries if adversaries.count(label) > 1]:
            raise ValueError(f"two losses called {twice[0]} have optimisers of their own: give them other names")

    def teachers_and_losses(self) -> list[tuple[str, StreamNetwork, list[Distiller]]]:
        """Return each teacher's name, network and losses."""
        lists = self.losses if self.names != ("",) else [self.losses]
        return [
            (name, cast(StreamNetwork, teacher), list(cast(Iterable[Distiller], losses)))
            for name, teacher, losses in zip(self.names, self.teachers, lists, strict=True)
        ]

    def with_optimizers(self) -> list[tuple[str, Distiller]]:
        """Return the losses that have an optimiser of their own, with what it is called."""
        pairs = ((prefix(name), loss) for name, _, losses in self.teachers_and_losses() for loss in losses)
        return [(begin + loss.name, loss) for begin, loss in pairs if loss.own_parameters()]

    def own_optimizers(self) -> dict[str, Optimizer]:
        """Build the optimisers that losses bring, to be stepped with the student's; by what each is called."""
        built = {}
        for label, loss in self.with_optimizers():
            assert loss.optimizer
            built[label] = loss.optimizer.build(loss.own_parameters().values())
        return built

    def own_rates(self) -> dict[str, float]:
        """Return the learning rate in this epoch of each of the optimisers that losses bring."""
        return {label: loss.optimizer.rate(self.epoch) for label, loss in self.with_optimizers() if loss.optimizer}

    def loss_parameters(self) -> list[nn.Parameter]:
        """Return the learnable parts of the losses that are trained with the student: without those with optimisers."""
        separate = {id(p) for _, loss in self.with_optimizers() for p in loss.own_parameters().values()}
        return [parameter for parameter in self.losses.parameters() if id(parameter) not in separate]

    def train(self, mode: bool = True) -> "Distill":
        super().train(mode)
        self.teachers.eval()  # frozen running statistics as well as frozen weights
        return self

    @contextmanager
    def quick_teachers(self, dtype: torch.dtype) -> Iterator[None]:
        """Run copies of the teachers within the block, folded and in `dtype`, see `inference_ready`.

        A teacher in mixed precision has its weights cast in every step, and batch norms that never change; its features
        are the same but for rounding.
        """
        teachers = self.teachers
        self.teachers = nn.ModuleList(inference_ready(cast(StreamNetwork, teacher), dtype) for teacher in teachers)
        try:
            yield
        finally:
            self.teachers = teachers

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Compute the loss and its terms, and the "own_loss_*" of losses with optimisers, to be lowered with it.

        Raises:
            ValueError: If there are no labels, and they are needed.
        """
        logits, parts, logged = self.parts(batch)
        terms = {name: term for part in parts.values() for name, term in part.items()}
        named = {"logits": logits} if self.knows_classes else {}
        return {"loss": torch.stack(list(terms.values())).sum(), **named, **terms, **logged}

    def parts(self, batch: Batch) -> tuple[Tensor, dict[str, dict[str, Tensor]], dict[str, Tensor]]:
        """Return the student's logits, weighted terms of each loss by `loss_label`, and values that are only logged."""
        (student, logits), target = self.run_student(batch), self.target(batch)
        weight = self.ce_weight * (self.ce_schedule(self.epoch) if self.training else 1.0)
        parts = {CROSS_ENTROPY: {"loss_ce": weight * self.cross_entropy(logits.float(), target)}}
        logged = {}
        if self.training or not self.knows_classes:
            teacher_batch = neighbours(batch) if self.other_clips and self.training else batch
            for (name, teacher, losses), reports in zip(self.teachers_and_losses(), self.reports_accuracy, strict=True):
                cache = self.cache_of(name)
                with torch.no_grad():
                    teacher_output = cache(teacher, teacher_batch) if cache else teacher(teacher_batch)
                if reports and target is not None:
                    accuracy = (teacher_output.logits.argmax(1) == teacher_batch["label"]).float().mean()
                    logged[f"acc_teacher_{name}" if name else "acc_teacher"] = accuracy
                for loss in losses:
                    terms, adversary = self.terms(loss, name, (student, teacher_output), target)
                    place = loss_label(name, loss.name)
                    parts[place], logged = parts.get(place, {}) | terms, logged | adversary
        return logits, parts, logged

    def prepare(self, batch: Batch) -> Mapping[str, Any]:
        """Add to a batch on the CPU the names by which caches of teachers know its clips."""
        views = {teacher.view for name, teacher, _ in self.teachers_and_losses() if self.cache_of(name)}
        return {**batch, **{DIGESTS + view: clip_digests(batch[view]) for view in views if view in batch}}

    def cache_of(self, name: str) -> CachedOutputs | None:
        """Return the cache of a teacher, if one is in use now."""
        return self.caches.get(name) if self.caches_training or not self.training else None

    def cache_teachers(self, folder: str | Path, *, in_training: bool) -> None:
        """Keep what teachers say of clips on disk, see `CachedOutputs`.

        Args:
            folder: Where.
            in_training: Whether training clips are the same in every epoch; those of validation always are.
        """
        self.caches_training = in_training
        for name, teacher, losses in self.teachers_and_losses():
            features = {POOLED}.union(*(loss.teacher_features for loss in losses))
            self.caches[name] = CachedOutputs(Path(folder), teacher, features)

    def rescale(self, factors: Mapping[str, float]) -> None:
        """Multiply the weights of losses by factors, by `loss_label`.

        Raises:
            ValueError: If there is no such loss.
        """
        losses = {loss_label(name, loss.name): loss for name, _, those in self.teachers_and_losses() for loss in those}
        if unknown := [name for name in factors if name not in (CROSS_ENTROPY, *losses)]:
            raise ValueError(f"{unknown[0]}: no such loss is in use, there are {', '.join((CROSS_ENTROPY, *losses))}")
        self.ce_weight *= factors.get(CROSS_ENTROPY, 1.0)
        for name, loss in losses.items():
            loss.factor *= factors.get(name, 1.0)

    def run_student(self, batch: Batch) -> tuple[Output, Tensor]:
        """Return the student's output, and the logits for the cross-entropy: of detached features for MERS."""
        if not (self.training and self.trains_head_only_by_ce):
            student = self.model(batch)
            return student, student.logits
        logits: list[Tensor] = []
        self.model.network.head_logits = logits
        try:
            return self.model(batch), logits[0]
        finally:
            self.model.network.head_logits = None

    def target(self, batch: Batch) -> Tensor | None:
        """Return the labels of a batch, None if it has none; raises as `forward`."""
        if "label" not in batch and self.need_labels:
            raise ValueError(
                f"the batch has no labels, which {' and '.join(self.need_labels)} need: give them as 'label', or train "
                "with ce_weight 0 and losses that need none"
            )
        return batch.get("label") if self.knows_classes else None

    def cross_entropy(self, logits: Tensor, target: Tensor | None) -> Tensor:
        """Compute the cross-entropy; without labels it is 0, with the gradient that a weight of 0 gives with them."""
        if target is None:
            return logits.sum() * 0
        return F.cross_entropy(logits, target, label_smoothing=self.label_smoothing if self.training else 0.0)

    def terms(
        self, loss: Distiller, teacher: str, outputs: tuple[Output, Output], target: Tensor | None
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the terms of a loss, weighted, and what its own optimiser lowers, by their names in logs."""
        terms, adversary = loss.terms(*outputs, target)
        weight, begin = loss.strength(self.epoch), prefix(teacher)
        weighted = {f"loss_{begin}{name.removeprefix('loss_')}": weight * term for name, term in terms.items()}
        return weighted, {} if adversary is None else {f"own_loss_{begin}{loss.name}": adversary}
