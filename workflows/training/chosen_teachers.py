"""Teachers that the options of a distillation choose, each with its network, its view of the clips, and its losses."""

import logging
import re
from argparse import Namespace
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets import FLOW, MODALITIES, RGB, ClipView, Stream, check_data, views_of
from datasets.builders import build_clips
from datasets.clip_options import drawn_by
from engine import checkpoint
from models import DISTILLERS, Distill, StreamNetwork, build_distillers, frozen_norms, load_stream
from models.distill import labels_of, losses_for, parse_schedules, parse_teacher_losses, schedule_of
from opts import ARCHITECTURE, named_checkpoints

from ..testing.evaluation import stream_of
from .teachers import architecture_in, cache_teachers

log = logging.getLogger(__name__)

NAME = re.compile(r"(?!ce$)[A-Za-z0-9-]+")  # terms are called after teachers, and one of them is loss_ce


class Teacher(NamedTuple):
    """A frozen network, and what its checkpoint states."""

    name: str  # which its terms are called after; "" of the one of `--resume_path1`
    path: str  # of its checkpoint
    checkpoint: Mapping[str, Any]  # content
    stream: Stream  # which it reads
    architecture: Mapping[str, Any]  # values of the options `ARCHITECTURE`, as of its checkpoint
    size: int  # side of its input, pixels
    network: StreamNetwork
    other_classes: bool  # whether it states classes that are not those of the data


def choose_teachers(
    words: Sequence[str], resume_path1: str, modality: str, losses: Sequence[str] = ()
) -> dict[str, str]:
    """Return the checkpoints of the teachers by name, "" for the flow teacher of `--resume_path1`.

    The `words` are those of `--teacher`, each a name and a checkpoint, `losses` those of `--teacher_losses`.

    Raises:
        ValueError: If there is none, options contradict each other, or a name cannot be part of those of terms.
    """
    losses_of = parse_teacher_losses(losses, DISTILLERS)
    if words and resume_path1:
        raise ValueError("--teacher and --resume_path1 both name teachers: use --teacher for all of them")
    if not words:
        check_flow_teacher(resume_path1, modality)
        if losses_of:
            name = next(iter(losses_of))
            raise ValueError(f"--teacher_losses {name}: needs --teacher {name}=CHECKPOINT")
        return {"": resume_path1}
    named = named_checkpoints(words, "--teacher")
    if bad := [name for name in named if not NAME.fullmatch(name)]:
        raise ValueError(f"--teacher {bad[0]}: a name has letters, digits and -, and is not ce")
    if unknown := [name for name in losses_of if name not in named]:
        raise ValueError(f"--teacher_losses {unknown[0]}: there is no such teacher, choose among {', '.join(named)}")
    return named


def check_flow_teacher(path: str, modality: str) -> None:
    """Refuse to distil without a flow teacher or both streams; raises ValueError, which names the option."""
    if MODALITIES[modality] != (RGB, FLOW):
        raise ValueError(
            f"--modality {modality}: distillation reads both streams; use --modality RGB_Flow, or name teachers with "
            "--teacher"
        )
    if not path:
        raise ValueError(
            "--resume_path1 is missing: the checkpoint of the flow teacher (train.py --modality Flow); or name "
            "teachers with --teacher"
        )


def all_losses(chosen: Iterable[str], losses: Sequence[str], special: Sequence[str]) -> set[str]:
    """Return the losses of all teachers by these names: those of `--distill`, or their own of `--teacher_losses`."""
    parsed = parse_teacher_losses(special, DISTILLERS)
    return {loss for name in chosen for loss, _ in losses_for(name, losses, parsed)}


def learns_classes(losses: Iterable[str], ce_weight: float, outputs: int | None, num_labels: int) -> bool:
    """Return whether a student learns the classes of the labels: from these, or from logits of its teachers for them.

    The `losses` are those of all teachers; `outputs` is how many the student is to have, None for one per label.
    """
    kinds = [DISTILLERS[loss].build for loss in losses]
    if ce_weight > 0 or any(kind.needs_labels for kind in kinds):
        return True
    return outputs in (None, num_labels) and any(kind.compares_logits for kind in kinds)


def load_teachers(opt: Namespace, chosen: Mapping[str, str], class_names: Sequence[str] | None) -> list[Teacher]:
    """Load the teachers, and check that they fit the data.

    A named one reads the stream that its checkpoint states, at the size of its training, see `StreamNetwork.view`, or
    at that of `--teacher_size`. The one of `--resume_path1`, as published, and those that do not state their size see
    that of the student. `chosen` are checkpoints by name, `class_names` those of the data, None where they do not
    matter, see `learns_classes`.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If one is damaged, or saw other flow or, where logits are compared, other classes.
    """
    teachers: list[Teacher] = []
    sizes = parse_sizes(opt.teacher_size or (), chosen)
    for name, path in chosen.items():
        state = checkpoint.load(path)
        stream = stream_of(state, path) if name else FLOW
        recipe = state.get("recipe", {}) if name else {}
        size = sizes.get(name, recipe.get("sample_size", opt.sample_size))
        options = architecture_in(state, opt.width)
        if options.get("model", opt.model) != opt.model:
            options = {"model_args": []} | options  # the student's are of another network
        of_teacher = Namespace(**vars(opt) | options | {"sample_size": size, "given": []})
        network = load_stream(of_teacher, stream, state, path)
        if size != opt.sample_size:
            network.view = ClipView(stream, size).name
            why = "as asked for" if name in sizes else "as in its training"
            log.info("%s: sees %s, %s; the student %d pixels", path, network.view, why, opt.sample_size)
        architecture = {option: getattr(of_teacher, option) for option in ARCHITECTURE}
        losses = all_losses([name], opt.distill, opt.teacher_losses or ())
        compares = any(DISTILLERS[loss].build.compares_logits for loss in losses)
        clips = Namespace(**vars(opt) | {"sample_size": size})
        check_data(clips, state, path, stream, class_names if compares else None)
        unlike = class_names is not None and state.get("class_names", class_names) != list(class_names)
        teachers.append(Teacher(name, path, state, stream, architecture, size, network, unlike))
    return teachers


def parse_sizes(words: Sequence[str], chosen: Collection[str]) -> dict[str, int]:
    """Parse the input sides of teachers in pixels, by name, from words like "image=224".

    Raises:
        ValueError: If a word is none of these, there is no such teacher, or it comes twice.
    """
    sizes: dict[str, int] = {}
    for word in words:
        name, _, side = word.partition("=")
        if not name or not side.isdecimal() or int(side) < 1:
            raise ValueError(f"--teacher_size {word}: expected TEACHER=PIXELS, like image=224")
        if name not in chosen:
            known = ", ".join(filter(None, chosen)) or "none: name it with --teacher"
            raise ValueError(f"--teacher_size {word}: there is no such teacher, choose among {known}")
        if name in sizes:
            raise ValueError(f"--teacher_size {word}: {name} has a size already")
        sizes[name] = int(side)
    return sizes


def read_by(modality: str, teachers: Sequence[Teacher], *, frames_alone: bool = False) -> tuple[ClipView, ...]:
    """Return the views that are read, the student's first, which is of the first stream of the modality.

    With `frames_alone` there is to be no stored flow, nor any that is computed.

    Raises:
        ValueError: If the modality has a stream that nobody reads, or a named teacher reads flow that is not to be.
    """
    streams = MODALITIES[modality]
    read = {streams[0], *(teacher.stream for teacher in teachers)}
    if idle := [stream.name for stream in streams if stream not in read]:
        raise ValueError(f"--modality {modality}: no teacher reads {idle[0]}: leave it out")
    if named := [teacher.name for teacher in teachers if frames_alone and teacher.name and teacher.stream.is_flow]:
        raise ValueError(
            f"--only_RGB: --teacher {named[0]} reads flow: leave one of them out, or compute flow with "
            "--flow_source online"
        )
    return views_of([streams[0], *(teacher.network.view for teacher in teachers)])


def flow_readers(teachers: Iterable[Teacher]) -> dict[str, Mapping[str, Any]]:
    """Return the checkpoints of teachers that read flow, by path."""
    return {teacher.path: teacher.checkpoint for teacher in teachers if teacher.stream.is_flow}


def build_task(
    opt: Namespace, student: StreamNetwork, teachers: Sequence[Teacher], begin: int, *, knows_classes: bool = True
) -> Distill:
    """Build the task, with the losses between the student and each teacher; raises as `build_distillers`.

    `begin` is the first stage of the student that learns, `knows_classes` whether it learns those of the labels.
    """
    frozen = list(frozen_norms(student.network, begin if opt.freeze_BN else 0, opt.partial_BN, opt.freeze_affine))
    networks = {teacher.name: teacher.network for teacher in teachers}
    losses = {
        teacher.name: build_distillers(
            opt, student.network, teacher.network.network, begin, name=teacher.name, size=teacher.size
        )
        for teacher in teachers
    }
    labels = labels_of({name: [loss.name for loss in built] for name, built in losses.items()}, opt.ce_weight)
    parse_schedules(opt.loss_schedule, labels)  # a resumed run may be given teachers of other names
    pair = (networks, losses) if all(networks) else (networks[""], losses[""])
    task = Distill(
        *(student, *pair),
        ce_weight=opt.ce_weight,
        frozen_norms=frozen,
        label_smoothing=opt.label_smoothing,
        other_classes=[teacher.name for teacher in teachers if teacher.other_classes],
        knows_classes=knows_classes,
        other_clips=opt.teacher_clips == "others",
        ce_schedule=schedule_of(opt.loss_schedule, "", "ce"),
    )
    if opt.teacher_cache:
        cache_teachers(task, Path(opt.teacher_cache), drawn_by(build_clips(opt, ()), opt.dataset))
    return task
