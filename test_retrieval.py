"""Retrieval: how often a test video's nearest training videos, by a network's features, have its class.

Examples:
    python test_retrieval.py --resume_path1 results/HMDB51/..._best.pth
    python test_retrieval.py --resume_path1 student.pth --num_clips 10 --feature layer4 --page neighbours.html
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from engine import is_main
from engine.command import cli, naming
from opts import SINGLE, build_parser, parse_with
from sts_common.files import check_writable
from workflows.retrieving.features import build_feature_source
from workflows.retrieving.retrieval_page import lines_of, retrieve, write_page, write_results
from workflows.testing.outputs import check_output

RANKS = (1, 5, 10, 20, 50)
SUBSETS = ("test", "train")  # queries, and what is looked through


def main(opt: Namespace) -> dict[int, float]:
    """Print the accuracies, write them beside the features; return them by k, in [0, 1]."""
    check_written(opt.features, Path(opt.result_path) / opt.dataset, opt.page)
    opt, source = build_feature_source(opt, opt.feature)
    test = naming.single_test_file(opt)
    stem = Path(opt.features or test.with_name(f"{test.stem}_retrieval_{opt.feature}"))
    queries, gallery = (source.read(subset, stem.with_name(f"{stem.name}_{subset}.npz")) for subset in SUBSETS)
    retrieval = retrieve(queries, gallery, opt.ranks)
    if is_main():
        for line in lines_of(retrieval):
            print(line)  # noqa: T201 - the lines that Distil-2D-3D prints
        write_results(retrieval, stem.with_name(f"{stem.name}.json"))
        if opt.page:
            write_page(retrieval, opt.page, opt.queries)
    return retrieval.accuracy


def check_written(features: str | None, folder: Path, page: Path | None) -> None:
    """Refuse, before any work, files that could not be written; raises OSError, which names the option."""
    if not is_main():  # the others write nothing
        return
    if features:
        check_output("--features", Path(f"{features}.json"))
    else:
        check_writable("--result_path", folder)
    if page:
        check_output("--page", page)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script, and those of test_single_stream.py."""
    parser = build_parser(SINGLE, __doc__)
    add = parser.add_argument_group("retrieval").add_argument
    add("--feature", default="avgpool", help="avgpool, or a stage such as layer4: its mean over time and space")
    add("--features", help="files FEATURES_test.npz and FEATURES_train.npz: read if they are there, else written")
    add("--ranks", type=int, nargs="+", default=list(RANKS), help="numbers of nearest videos that are looked at")
    add("--page", type=Path, help="HTML page of test videos with their nearest training videos")
    add("--queries", type=int, default=20, help="test videos on it")
    return parse_with(parser, argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
