"""Accuracy against speed on a CPU: SFS students of several sizes of one teacher, in several number formats.

Makes the videos of demo.py, trains a Flow teacher and its students, exports each, and has the networks of predict.py
name the action in every test video. Speed is that of a clip at a time on one core, in CPU time, all in turn. What has
been trained is not trained again: a training of 18 epochs takes about 4 to 10 minutes of one core, by size.
"""

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record, build_parser, check_least, environment, markdown, publish, ratios
from datasets import Annotation
from datasets.lists.entries import Entry
from demo import ROOT, Stages, make_data, weights
from engine import checkpoint, setup
from engine.command import cli
from sts_common.processors import single_threaded_libraries
from sts_common.timing import alternated
from workflows.exporting.calibration import CalibrationSettings
from workflows.exporting.export import export
from workflows.exporting.plan import INT8
from workflows.measuring.exported_networks import missing_packages
from workflows.predicting.predict import PredictorSettings, build_predictor
from workflows.predicting.predictor import Predictor, predict_video

# Name of a student: its network. The teacher is a ResNet-10 of width 0.25.
STUDENTS = {
    "resnet-10 x 0.125": ("resnet", 10, 0.125),
    "resnet-18 x 0.125": ("resnet", 18, 0.125),
    "resnet-10 x 0.25": ("resnet", 10, 0.25),
    "resnet-18 x 0.25": ("resnet", 18, 0.25),
    "resnet-10 x 0.5": ("resnet", 10, 0.5),
}
TEACHER = "the teacher, on flow"  # whose clips/s are without the computing of flow
TORCH, BF16, OPENVINO, QUANTISED = "float32", "bf16, folded", "openvino, float32", "openvino, int8"

log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("students", __doc__, rounds=15)
    add = parser.add_argument
    add("--folder", default="results/students", help="for videos, frames, networks and exported files")
    names = "of: " + ", ".join(STUDENTS)
    add("--students", nargs="*", default=list(STUDENTS), choices=STUDENTS, metavar="NAME", help=names)
    add("--n_epochs", default=18, type=int, help="of each student, >= 1; the teacher always has 18")
    add("--max_drop", default=0.5, type=float, help="as of export.py")
    add("--quick", action="store_true", help="few videos and epochs, which learn little")
    add("--seed", default=1, type=int, help="of the training")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Train what is missing, measure, print the table, write the JSON."""
    check_least(opt, rounds=1, n_epochs=1)
    setup(opt.seed, "cpu")
    folder, stages = Path(opt.folder).resolve(), Stages()
    data = folder / "data"
    make_data(data, opt.quick, stages)
    words = training_words(data, opt.seed, opt.quick)
    teacher = trained(folder / "teacher", stages, "train.py", [*words, "--modality", "Flow"])
    words += ["--modality", "RGB_Flow", "--resume_path1", str(teacher), "--project", "auto"]
    epochs = ["--n_epochs", str(opt.n_epochs), "--checkpoint", str(opt.n_epochs)]
    files = {
        name: trained(folder / name.replace(" ", ""), stages, "STS_train.py", [*words, *epochs, *network_words(name)])
        for name in opt.students
    }
    rows = measure({TEACHER: teacher, **files}, data, max_drop=opt.max_drop, rounds=opt.rounds)
    record: Record = {
        "environment": environment(),
        "seed": opt.seed,
        "epochs": {"teacher": checkpoint.load(teacher)["epoch"] - 1, "students": opt.n_epochs},
        "rounds": opt.rounds,
        "rows": rows,
    }
    return publish(opt.out, record, table(record))


def training_words(data: Path, seed: int, quick: bool) -> list[str]:
    """Return the options that every training has."""
    words = ["--config", os.path.relpath(ROOT / "configs" / "demo.yaml"), "--manual_seed", str(seed)]
    words += ["--frame_dir", str(data / "frames"), "--annotation_path", str(data / "labels")]
    return words + (["--n_epochs", "2", "--checkpoint", "2", "--batch_size", "8"] if quick else [])


def network_words(name: str) -> list[str]:
    """Return the options of a student's network."""
    model, depth, width = STUDENTS[name]
    return ["--model", model, "--model_depth", str(depth), "--width", str(width)]


def trained(folder: Path, stages: Stages, script: str, words: Sequence[str]) -> Path:
    """Return the checkpoint of a training in a folder, which is run unless it has ended."""
    if not any(folder.rglob("*[0-9].pth")):
        stages.run(folder.name, script, *words, "--result_path", folder)
    return weights(folder)


def measure(files: Mapping[str, Path], data: Path, *, max_drop: float, rounds: int) -> list[dict[str, Any]]:
    """Measure accuracy and speed of each student in each number format that can be had here."""
    entries = Annotation(data / "labels").list_subset("test").entries
    frames = data / "frames"
    rows: list[dict[str, Any]] = []
    calls: dict[int, Callable[[], object]] = {}
    with single_threaded_libraries():
        for name, file in files.items():
            clip = None
            reference: list[int] = []
            for way, predictor, written in ways(file, data, max_drop):
                log.info("%s: %s", name, way)
                answers = [answer(predictor, frames, entry) for entry in entries]
                reference = reference or answers
                clip = clip or next(iter(predictor.clips_of(frames / entries[0].path))).clip
                calls[len(rows)] = partial(predictor.logits, [clip])
                hits = sum(answer == entry.label for answer, entry in zip(answers, entries, strict=True))
                same = sum(a == b for a, b in zip(answers, reference, strict=True))
                row = {"student": name, "way": way, "accuracy": hits / len(entries), "same": same / len(entries)}
                rows.append(row | {"videos": len(entries), "bytes": written})
        for call in calls.values():
            call()  # what is chosen at the first call is done
        times = alternated(calls, rounds)
    return [row | {"seconds": [seconds[i].cpu for seconds in times]} for i, row in enumerate(rows)]


def ways(file: Path, data: Path, max_drop: float) -> list[tuple[str, Predictor, int]]:
    """Return the name, the networks and the bytes of a checkpoint in each number format."""
    settings = {TORCH: PredictorSettings()}
    if has_bf16():
        settings[BF16] = PredictorSettings(amp="bf16")
    size = file.stat().st_size
    predictors = [(way, build_predictor(file, options, device="cpu"), size) for way, options in settings.items()]
    if missing := missing_packages("openvino", INT8):
        log.warning("without %s there are no rows of OpenVINO", ", ".join(missing))
        return predictors
    calibration = CalibrationSettings(frame_dir=data / "frames", annotation_path=data / "labels", max_drop=max_drop)
    for way, dtype, calibrate in ((OPENVINO, "float32", None), (QUANTISED, INT8, calibration)):
        written = export(file, file.with_name(f"{dtype}.xml"), dtype=dtype, calibrate=calibrate)
        predictors.append((way, build_predictor(written.path, device="cpu"), written.bytes))
    return predictors


def has_bf16() -> bool:
    """Return whether this processor multiplies bfloat16; on others it takes many times as long as float32."""
    path = Path("/proc/cpuinfo")
    return path.is_file() and any(name in path.read_text("utf-8") for name in ("avx512_bf16", "amx_bf16"))


def answer(predictor: Predictor, frames: Path, entry: Entry) -> int:
    """Return the label that is predicted for a video."""
    return int(predict_video(predictor, frames / entry.path).probabilities.argmax())


def table(record: Record) -> str:
    """Tabulate accuracies and medians of speed; times as fast as the first row."""
    rows = record["rows"]
    cells = [
        [
            row["student"],
            row["way"],
            f"{row['bytes'] / 1e6:.2f}",
            f"{100 * row['accuracy']:.1f} %",
            f"{100 * row['same']:.1f} %",
            f"{1 / median(row['seconds']):.0f}",
            f"{median(ratios(rows[0]['seconds'], row['seconds'])):.2f}",
        ]
        for row in rows
    ]
    where, videos = record["environment"], rows[0]["videos"] if rows else 0
    title = (
        f"{where['cpu']}, one core, torch {where['torch']}, {videos} made-up test videos of 12 classes, seed "
        f"{record['seed']}, {record['epochs']['students']} epochs"
    )
    header = ["network", "format", "MB", "top-1", "answers of float32", "clips/s", "times the first row"]
    return f"{title}\n\n{markdown(header, cells)}"


if __name__ == "__main__":
    cli.run(main, parse_args)
