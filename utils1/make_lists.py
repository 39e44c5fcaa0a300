"""Convert lists of videos from one form to another.

SRC is the label folder of any data set that train.py reads, one list, or with --from frames a folder of class/video/
folders. OUT gets what --to names:

settings   train_rgb_split1.txt, val_rgb_split1.txt, ... of two-stream-pytorch (build_file_list)
ibm        train.txt, val.txt: path, first frame, last frame, label
json       videos_01.json of 3D-ResNets (ucf101_json, hmdb51_json, kinetics_json)
csv        videos.csv and classes.csv, with which train.py --dataset List trains; any name survives
ucf        classInd.txt, trainlist01.txt, testlist01.txt (hmdb51_concat)
kinetics   Kinetics_train_labels.txt, Kinetics_val_labels.txt: path, label, frames
n_frames   no OUT: a file n_frames in every video folder of --frame_dir
fps        no OUT: a file fps there, by the length of the videos in --video_dir

Every list is read again before it is put in place, and must say the same.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from datasets.corpora import DATASETS
from datasets.lists.forms import SEPARATORS
from engine.command import cli
from workflows.listing.frame_markers import MARKERS
from workflows.listing.list_writers import WRITERS
from workflows.listing.make_lists import make_lists


def main(opt: Namespace) -> None:
    """Convert the lists."""
    make_lists(
        opt.source,
        opt.out,
        form=opt.source_form,
        to=opt.to,
        split=opt.split,
        frame_dir=opt.frame_dir,
        layout=opt.layout,
        video_dir=opt.video_dir,
        streams=opt.streams,
        separator=opt.separator,
        first_label=opt.first_label,
        strip=opt.strip,
        force=opt.force,
    )


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("source", metavar="SRC", type=Path, help="label folder, list, or with --from frames the folder of the videos")
    add("out", metavar="OUT", type=Path, nargs="?", help="folder for the lists")
    add("--from", dest="source_form", default="auto", choices=("auto", "frames", *DATASETS), help="form of SRC")
    add("--to", default="csv", choices=(*WRITERS, *MARKERS), help="form of OUT")
    add("--split", type=int, choices=(1, 2, 3), help="official split; default: all that there are")
    add("--frame_dir", type=Path, help="extracted frames, where frames are counted")
    add("--layout", default="auto", help="how --frame_dir is laid out, as for train.py")
    add("--video_dir", type=Path, help="video files, for --to fps")
    add("--streams", nargs="+", default=["rgb"], choices=("rgb", "flow"), help="of which settings lists are written")
    add("--separator", default=" ", choices=SEPARATORS, help="of --to ibm")
    add("--first_label", type=int, default=0, choices=(0, 1), help="that numbers in SRC count from (--from List)")
    add("--strip", default="", help="beginning of absolute paths in SRC (--from List)")
    add("--force", action="store_true", help="replace files")
    opt = parser.parse_args(argv)
    if (opt.out is None) != (opt.to in MARKERS):
        parser.error(f"--to {opt.to} needs " + ("no OUT: it writes into --frame_dir" if opt.out else "OUT"))
    return opt


if __name__ == "__main__":
    cli.run(main, parse_args)
