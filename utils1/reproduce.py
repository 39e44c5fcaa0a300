"""Run a whole experiment from its recipe: extract, audit, train RGB, Flow and SFS on every split, test, fuse, report.

    python utils1/reproduce.py configs/hmdb51/16f.yaml
    python utils1/reproduce.py configs/hmdb51/16f.yaml --dry
    python utils1/reproduce.py configs/kinetics400/64f.yaml --launch 'torchrun --nproc_per_node 8'

The same command goes on after an interruption: a stage whose results are there, by the same options from the same
files, is not run again. Networks, scores, the report and table.md are below --out. docs/reproduce.md says more.
"""

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine.command import cli
from workflows.reproducing.estimate import as_text
from workflows.reproducing.recipe import load_recipe
from workflows.reproducing.reproduce import as_script, build_runner, reproduce
from workflows.reproducing.table import as_markdown


def main(opt: Namespace) -> dict[str, Any]:
    """Run what is missing; print the table and return it."""
    recipe = load_recipe(opt.recipe)
    out = opt.out or Path("results", "reproduce", f"{recipe.path.parent.name}_{recipe.path.stem}")
    if opt.dry or opt.estimate:
        print(as_text(recipe) if opt.estimate else as_script(recipe, out))  # noqa: T201 - the result
        return {}
    table = reproduce(recipe, out, build_runner(opt.launch))
    print(as_markdown(table))  # noqa: T201 - the result
    return table


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("recipe", metavar="RECIPE", type=Path, help="YAML file, such as configs/hmdb51/16f.yaml")
    add("--out", type=Path, help="folder of results; else results/reproduce/ and the recipe's name")
    add("--dry", action="store_true", help="print the command of every stage, and end")
    add("--estimate", action="store_true", help="print estimated hours and memory of the trainings, and end")
    launch = "what starts trainings and tests in place of python, such as 'torchrun --nproc_per_node 8'"
    add("--launch", type=shlex.split, default=[], metavar="WORDS", help=launch)
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
