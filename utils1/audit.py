"""Check every video of a data set once, before training, and name every problem.

Videos that are missing, empty, cut short, undecodable or too short, counts that disagree, duplicates, test videos in
the training list, unknown classes. Writes what it saw into manifest.jsonl in --frame_dir, which training and tests read
instead of looking at every folder again, and every problem into audit.tsv beside it; exit code 2 if there are errors.

Of frame folders every image is opened and its ends are looked at, and of every video three frames of each stream are
decoded: UCF101 with flow, 7.5 million images, takes five minutes of one core, and what the disk needs to open them all.
--deep decodes every image, an hour of one core. Of video files every packet is read, which shows what is cut short, and
three frames are decoded; damage between them is found with --deep alone, which judges a file as extraction does.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from datasets.corpora import DATASETS
from datasets.stores.detect import STORES
from datasets.stores.provenance import frame_rate
from datasets.streams import MODALITIES
from engine.command import cli
from sts_common.cluster import CLUSTER
from workflows.auditing.audit import audit_videos, refuse_errors
from workflows.auditing.findings import Report, as_text
from workflows.auditing.lists_and_folders import SPLITS


def main(opt: Namespace) -> Report:
    """Print and return the report; raises ValueError if there are errors."""
    report = audit_videos(
        opt.frame_dir,
        opt.annotation_path,
        dataset=opt.dataset,
        splits=SPLITS if opt.split == "all" else (int(opt.split),),
        modality=opt.modality,
        layout=opt.layout,
        video_fps=opt.video_fps or None,
        sample_duration=opt.sample_duration,
        deep=opt.deep,
        n_workers=opt.n_workers,
        quarantine=opt.quarantine,
        json=opt.json,
        cluster=opt.cluster,
    )
    print(as_text(report))  # noqa: T201 - the result
    refuse_errors(report, opt.json)
    return report


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--frame_dir", default="dataset/HMDB51/", help="folder of the frames or videos")
    add("--annotation_path", default="dataset/HMDB51_labels", help="folder of the official label files")
    add("--dataset", default="HMDB51", choices=DATASETS, help="whose annotation files to read")
    add("--split", default="all", choices=("all", *map(str, SPLITS)), help="official split")
    add("--modality", default="auto", choices=("auto", *MODALITIES), help="streams that must be there")
    add("--layout", default="auto", choices=("auto", *STORES), help="how the videos are stored")
    add("--video_fps", default=25.0, type=frame_rate, help="frames per second that video files are read at, or source")
    add("--sample_duration", default=16, type=int, help="frames per clip, below which a video is short")
    add("--deep", action="store_true", help="decode every frame")
    add("--n_workers", type=int, help="processes; else one per core")
    add("--cluster", metavar="ADDRESS", help=CLUSTER)
    add(
        "--quarantine", action="store_true", help="list the unusable videos in quarantine.tsv: training leaves them out"
    )
    add("--json", default="", help="write the whole report to this file, too")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
