"""Trainings and tests of the rows of a comparison by the commands' own functions, in this process."""

import hashlib
import json
import re
import shutil
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

import STS_train
import test_retrieval
import test_two_stream
import train
from datasets.annotation import Annotation
from datasets.lists.entries import Entry
from demo import weights
from opts import DISTILL, FUSED, TRAIN, parse_opts
from sts_common.files import write_atomically
from sts_common.json_text import as_json

from .motion import measure_motion
from .rows import IMAGENET, Fusion, Row

COMMON = "--batch_size 16 --optimizer adamw --learning_rate 0.002 --weight_decay 0.01 --lr_schedule onecycle "
COMMON += "--checkpoint 1000"
RETRIEVAL = "--modality RGB --only_RGB --test_sampling spaced --num_clips 3"
QUICK = "--n_epochs 1 --batch_size 4"
NOTE = "network.json"  # what a finished network depends on, and what was measured of it, in its folder
# Options that a comparison sets itself: with another value a row would not be what its name says.
RESERVED = (
    "dataset",
    "split",
    "frame_dir",
    "annotation_path",
    "manual_seed",
    "result_path",
    "modality",
    "resume_path1",
)
MAINS: dict[str, Callable[[Namespace], Mapping[str, float]]] = {
    TRAIN: train.main,
    DISTILL: STS_train.main,
    FUSED: test_two_stream.main,
}


@dataclass(frozen=True)
class Bench:
    """Trains and tests the rows of a comparison on one split.

    Attributes:
        rows: Rows of the comparison by name.
        frames: Folder of frames and flow.
        labels: Official lists.
        dataset: A key of `DATASETS`.
        split: 1, 2 or 3.
        folder: Folder of networks and scores.
        training: Further options of every training, which win over those of a row.
        quick: Whether one epoch is enough.
        subset: Subset that is tested, "test" or "val".
    """

    rows: Mapping[str, Row]
    frames: Path
    labels: Path
    dataset: str
    split: int
    folder: Path
    training: str = ""
    quick: bool = False
    subset: str = "test"

    @classmethod
    def of(cls, opt: Namespace, rows: Mapping[str, Row], split: int) -> Self:
        """Build the bench of a split from the options of a comparison."""
        data = opt.frame_dir, opt.annotation_path, opt.dataset, split
        return cls(rows, *data, opt.folder.resolve(), opt.training, opt.quick, opt.test_subset)

    @cached_property
    def annotation(self) -> Annotation:
        """Annotation with the held-out videos of the trainings."""
        held_out = parse_opts(self.training.split(), TRAIN).val_fraction
        return Annotation(self.labels, dataset=self.dataset, split=self.split, val_fraction=held_out)

    @property
    def fits(self) -> bool:
        """Whether fusions can be fitted on held-out videos: rows are judged by others."""
        return self.subset == "test" and self.annotation.val_fraction > 0

    @property
    def tested(self) -> Sequence[Entry]:
        """Videos by which rows are judged."""
        return self.annotation.list_subset(self.subset, scored=True).entries

    @cached_property
    def lists(self) -> str:
        """Start of the SHA-256 of the training and the test list, which differs between data sets."""
        subsets = [self.annotation.read(subset).entries for subset in ("train", "test")]
        listed = [sorted((entry.path, entry.label) for entry in entries) for entries in subsets]
        return hashlib.sha256(as_json(listed).encode()).hexdigest()[:12]

    def check(self, names: Sequence[str]) -> None:
        """Refuse options before anything is trained or removed.

        Raises:
            FileNotFoundError: If there are no frames or no lists.
            ValueError: If options of a training are invalid, or `training` sets what the comparison does.
        """
        if not self.frames.is_dir():
            raise FileNotFoundError(f"{self.frames}: no such folder; --frame_dir must hold frames and flow")
        given = parse_opts(self.training.split(), TRAIN).given
        if reserved := [name for name in RESERVED if name in given]:
            raise ValueError(f"--training: --{reserved[0]} is set by the comparison itself: leave it out")
        for name in names:
            row = self.rows[name]
            parse_opts([*self.options(row).split(), *row.checkpoint_words(lambda _: "x.pth")], row.script)
        if self.subset == "val" and self.annotation.val_fraction == 0:
            raise ValueError("--test_subset val: --val_fraction 0 holds no training videos out: leave one of them out")
        if not self.tested:
            raise ValueError(f"{self.labels}: lists no {self.subset} video")

    def options(self, row: Row) -> str:
        """Return the options of a row's training."""
        return " ".join(filter(None, (COMMON, row.train, self.training, QUICK if self.quick else "")))

    def place(self, name: str, seed: int) -> Path:
        """Return the folder of a row."""
        return self.folder / f"split{self.split}" / f"seed{seed}" / re.sub(r"\W+", "_", name).lower()

    def scores(self, name: str, seed: int) -> Path:
        """Return the score file of a row or a fusion."""
        place = self.place(name, seed)
        return place.with_name(f"{place.name}.{self.subset}.npz")

    def dependencies(self, name: str, seed: int) -> dict[str, Any]:
        """Return what a network depends on: its options, the lists, and the dependencies of networks that it needs."""
        row = self.rows[name]
        needs = {other: self.dependencies(other, seed) for other in row.rows}
        return {"options": self.options(row), "lists": self.lists, "needs": needs}

    def measured(self, name: str, seed: int) -> dict[str, Any] | None:
        """Return what the training of a network measured; None if it was not trained, or would differ now."""
        try:
            note = json.loads((self.place(name, seed) / NOTE).read_text("utf-8"))
        except FileNotFoundError:
            return None
        measured: dict[str, Any] = note["measured"]
        return measured if note["depends"] == self.dependencies(name, seed) else None

    def is_finished(self, name: str, seed: int) -> bool:
        """Return whether a row is trained as it would be now, and tested if it is to be."""
        scored = not self.rows[name].reads or self.scores(name, seed).is_file()
        return scored and self.measured(name, seed) is not None

    def run_row(self, name: str, seed: int, imagenet: Path | None) -> dict[str, Any]:
        """Train a row unless that is done, and test it; returns what `train` does, and its accuracies."""
        measured = self.measured(name, seed)
        if measured is None:
            measured = self.train(name, seed, imagenet)
            note = as_json({"depends": self.dependencies(name, seed), "measured": measured})
            write_atomically(self.place(name, seed) / NOTE, lambda file: file.write(note.encode()))
        if not self.rows[name].reads:
            return measured
        start = time.process_time()
        tested = self.test(name, seed, self.scores(name, seed), "--test_subset", self.subset)
        seconds = time.process_time() - start
        return measured | accuracies(tested) | self.answers(name, seed) | {"test_seconds": seconds}

    def train(self, name: str, seed: int, imagenet: Path | None) -> dict[str, Any]:
        """Train a row; returns "seconds" of CPU time, and "motion" or "retrieval" if the row is measured so."""
        row, folder = self.rows[name], self.place(name, seed)
        shutil.rmtree(folder, ignore_errors=True)  # of a training that was stopped, or had other options
        for scores in folder.parent.glob(f"{folder.name}.*.npz"):
            scores.unlink()
        words = [*self.options(row).split(), "--manual_seed", str(seed + row.seed_shift), "--result_path", str(folder)]
        words += row.checkpoint_words(lambda name: imagenet if name == IMAGENET else weights(self.place(name, seed)))
        if row.cached:
            words += ["--teacher_cache", str(self.folder / "teacher_cache")]
        if row.imagenet:
            words += ["--init", str(imagenet)]
        start = time.process_time()
        self.call(row.script, words)
        result: dict[str, Any] = {"seconds": time.process_time() - start}
        file = weights(folder)
        if "--motion alone" in row.train:
            data = self.frames, self.labels
            result["motion"] = measure_motion(file, *data, dataset=self.dataset, split=self.split, seed=seed)
        if row.retrieves:
            result["retrieval"] = self.retrieve(name, seed)
        return result

    def test(self, name: str, seed: int, scores: Path, *words: str) -> Mapping[str, float]:
        """Test a row's network with further options; returns the accuracies."""
        row, place = self.rows[name], self.place(name, seed)
        stream = ["--stream", f"{place.name}={weights(place)}", *(["--only_RGB"] if row.reads == "RGB" else [])]
        return self.call(FUSED, [*stream, *row.test.split(), "--scores_path", str(scores), *words])

    def held_out(self, name: str, seed: int) -> Path:
        """Return the score file of a row on the held-out training videos; these are tested unless it is there."""
        scores = self.place(name, seed) / "held_out.npz"
        if not scores.is_file():
            self.test(name, seed, scores, "--test_subset", "val")
        return scores

    def retrieve(self, name: str, seed: int) -> dict[str, float]:
        """Retrieve training videos for each test video by a row's features; returns accuracies by k."""
        place = self.place(name, seed)
        words = ["--resume_path1", str(weights(place)), "--features", str(place / "features"), *RETRIEVAL.split()]
        result = test_retrieval.main(test_retrieval.parse_args([*self.data(), *words]))
        return {str(k): accuracy for k, accuracy in result.items()}

    def fuse(self, name: str, fusion: Fusion, seed: int) -> dict[str, Any]:
        """Fuse the scores of rows; returns the accuracies."""
        files = [str(self.scores(row, seed)) for row in fusion.rows]
        words = ["--scores", *files, "--fusion", fusion.activation, "--log", "0"]
        words += ["--fusion_weights", *map(str, fusion.weights)] if fusion.weights else []
        words += ["--fit", *(str(self.held_out(row, seed)) for row in fusion.rows)] if fusion.fitted else []
        opt = parse_opts([*words, "--scores_path", str(self.scores(name, seed))], FUSED)
        return accuracies(test_two_stream.main(opt)) | self.answers(name, seed)

    def answers(self, name: str, seed: int) -> dict[str, Any]:
        """Return the number of "videos" of a test, and for each, by name, whether the answer is "right", 1 or 0."""
        with np.load(self.scores(name, seed)) as scores:
            right = (scores["fused"].argmax(1) == scores["label"])[np.argsort(scores["video"])]
        return {"videos": len(right), "right": "".join(map(str, right.astype(int)))}

    def call(self, script: str, words: list[str]) -> Mapping[str, float]:
        """Run a command on the data, without loader processes, on the CPU."""
        words = [*self.data(), *words]
        print("\n$ python", script, *words, flush=True)  # noqa: T201 - as one would type it
        return MAINS[script](parse_opts(words, script))

    def data(self) -> list[str]:
        """Return the options that every command has."""
        data = ["--dataset", self.dataset, "--split", str(self.split), "--annotation_path", str(self.labels)]
        return [*data, "--frame_dir", str(self.frames), "--n_workers", "0", "--device", "cpu"]


def accuracies(tested: Mapping[str, float]) -> dict[str, float]:
    """Return the accuracies of a test that a row has."""
    return {name: tested[name] for name in ("top1", "mean_class")}
