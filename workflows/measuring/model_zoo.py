"""The page of all networks: what they cost, what was published of them, and how released files load."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from models.backbones.torchvision_networks import ENTRIES, PREFIX, published
from sts_common.files import write_atomically

from ..shared.templates import load_template
from .model_info import COLUMNS, Row, cells, markdown_table, model_info

HARA = "3D-ResNets"
STUDY = "IBM's study"
TEMPLATE = Path(__file__).with_name("model_zoo.md.jinja")
COUNTED = ("input", "parameters_m", "multiply_adds_g", "convolutions_g", "activations_m", "training_mb")


class Entry(NamedTuple):
    """A network on the page."""

    words: str  # its name and arguments, see `parse_network`
    accuracy: str = ""  # as it was published, with what it is of; "" where none is known
    source: str = ""  # where files of it were released; "" where none are known
    command: str = ""  # loads such a file; FILE is its path
    frames: int | None = None  # of the clip that is counted; None for as many as the network wants to see


def load_file(model: str = "", *more: str) -> str:
    """Return the options with which a file is tested."""
    return " ".join([*(["--model", model] if model else []), *more, "--resume_path1 FILE"])


def hara(depth: int, mean: str, *more: str) -> Entry:
    """Return the entry of a 3D ResNet of 3D-ResNets."""
    accuracy = f"Kinetics-400: {mean}, mean of top-1 and top-5" if mean else ""
    return Entry(f"resnet,depth={depth}", accuracy, HARA, load_file("resnet", f"--model_depth {depth}", *more))


def study(words: str, accuracy: str = "", frames: int | None = None) -> Entry:
    """Return the entry of a network of IBM's study."""
    return Entry(words, accuracy, STUDY if accuracy else "", load_file() if accuracy else "", frames)


def of_torchvision(name: str) -> Entry:
    """Return the entry of a video network of torchvision's."""
    model = f"{PREFIX}{name}"
    stated = published(model)
    top1 = stated.meta["_metrics"]["Kinetics-400"]["acc@1"]
    return Entry(model, f"Kinetics-400: {top1}", str(stated.url), f"train.py --model {model} --init kinetics400")


def entries() -> list[Entry]:
    """Return all networks of the page; accuracies are those of their publications, in percent."""
    shortcut_a, students = "--resnet_shortcut A", "Distil-2D-3D"
    return [
        Entry("resnext,depth=101", "Kinetics-400: 75.4, mean of top-1 and top-5", HARA, load_file()),
        Entry("resnext,depth=101", "Kinetics-400, MARS: 72.7", "MARS", load_file(), 64),
        *(hara(depth, mean, shortcut_a) for depth, mean in ((18, "66.1"), (34, "71.0"))),
        *(hara(d, mean) for d, mean in ((50, "72.2"), (101, "73.3"), (152, "73.7"), (200, "73.7"))),
        *(
            Entry(f"resnet2p1d,depth={depth}", "", HARA, load_file("resnet2p1d", f"--model_depth {depth}"))
            for depth in (18, 34, 50)
        ),
        Entry("resnet,depth=10,conv1_t_size=3,no_max_pool=on", "", students, load_file()),
        Entry("resnet2p1d,depth=10,conv1_t_size=3,no_max_pool=on,split_shortcut=on", "", students, load_file()),
        Entry("c3d", "", students, load_file()),
        study("i3d", frames=8),
        study("s3d", frames=8),
        study("i3d_resnet,depth=18", frames=8),
        study("i3d_resnet,depth=50", "Kinetics-400, 32 frames: 76.61", 8),
        study("i3d_resnet,depth=101", "Kinetics-400, 32 frames: 77.80", 8),
        study("s3d_resnet,depth=18", frames=8),
        study("s3d_resnet,depth=50", frames=8),
        study("resnet2d,depth=50,temporal=tam", "Kinetics-400, 32 frames: 76.18", 8),
        study("resnet2d,depth=101,temporal=tam", "Kinetics-400, 32 frames: 77.61", 8),
        *map(of_torchvision, ENTRIES),
        Entry("resnet2d,depth=18"),
        Entry("resnet2d,depth=50"),
        Entry("resnet2d,depth=101", "UCF101 split 1, RGB: 82.1", "two-stream ResNet-101", load_file()),
        Entry("resnet2d,depth=152", "UCF101 split 1, RGB: 85.6", "two-stream-pytorch", load_file()),
        Entry("vgg,depth=16", "UCF101 split 1, RGB: 78.5", "two-stream-pytorch", load_file()),
        Entry("googlenet"),
        Entry("hidden_two_stream"),
    ]


def write_zoo(path: Path, measure: Sequence[str] = (), seconds: float = 2.0) -> list[Row]:
    """Write the page of all networks, measured as by `model_info`, and return its rows."""
    rows = [info_of(entry, measure, seconds) for entry in tqdm(entries(), "networks", leave=False, disable=None)]
    page = as_page(rows, measure)
    write_atomically(path, lambda file: file.write(page.encode()))
    return rows


def info_of(entry: Entry, measure: Sequence[str] = (), seconds: float = 2.0) -> Row:
    """Return the row of an entry."""
    return model_info(entry.words, frames=entry.frames, measure=measure, seconds=seconds)


def counted_cells(row: Row) -> list[str]:
    """Return the columns of a row that are counted and not measured, the name first."""
    named = cells(row)
    return [f"`{row['network']}`", *(named[key] for key in COUNTED)]


def as_page(rows: Sequence[Row], measure: Sequence[str]) -> str:
    """Format the page."""
    heads = [*(COLUMNS[key] for key in ("network", *COUNTED)), *(f"clips/s of a core, {kind}" for kind in measure)]
    costs = [[*counted_cells(row), *(cells(row)[kind] for kind in measure)] for row in rows]
    known = [entry for entry in entries() if entry.accuracy or entry.source]
    named = [[f"`{e.words}`", e.accuracy, e.source, f"`{e.command}`" if e.command else ""] for e in known]
    return load_template(TEMPLATE).render(
        costs=markdown_table(heads, costs, text=2),
        released=markdown_table(["network", "published accuracy, %", "files", "with"], named, text=4),
        measured=bool(measure),
        torch=str(torch.__version__).partition("+")[0],
    )
