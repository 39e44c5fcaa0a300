"""Every code block of every page is tried: run by the test of its page, or here; commands at least by their parser."""

import importlib
import re
import shlex

import numpy as np
import pytest
import torch
from pages import FENCE, code, commands, paths
from source_files import ROOT, text

from opts import parse_opts
from opts.option import SCRIPTS
from sts_common import commands as sts

DOCS = ROOT / "docs"
PAGES = {"README.md": "README.md"} | {p.relative_to(DOCS).as_posix(): str(p) for p in sorted(DOCS.rglob("*.md"))}
# Pages whose blocks of a kind are run from their text by another test.
RUN_BY = {
    ("README.md", "python"): "project/test_readme.py",
    ("systems.md", ""): "project/test_systems.py",
    ("data.md", "python"): "datasets/test_open_videos.py",
    ("export.md", "python"): "commands/exporting/test_export.py",
    ("extending.md", "python"): "project/test_extending.py",
    ("extending.md", "diff"): "project/test_extending.py",
    ("extending.md", ""): "project/test_extending.py",
    ("first_hour.md", ""): "project/test_docs.py",
    ("predict.md", "python"): "commands/test_keywords.py",
    ("python.md", "python"): "project/test_python.py",
}
# Commands that no parser here can read, by their first word, and what stands against trying them.
OUTSIDE = {
    "git": "fetches the repository from its server",
    "pip": "installs packages from their server",
    "make": "installs the packages that it needs; its targets are held against the Makefile",
    "dask": "a program of Dask, for a cluster",
    "sbatch": "a program of Slurm, for a cluster; what it runs is read",
    "cd": "changes the folder",
}
COMMANDS = {
    name: [line for kind in ("", "bash") if (name, kind) not in RUN_BY for line in commands(path, kind)]
    for name, path in PAGES.items()
}


def test_every_block_is_of_a_kind_that_is_tried():
    """A block of "text" is output, a formula or a tree, which nobody types."""
    blocks = {(name, kind) for name, path in PAGES.items() for kind, _ in FENCE.findall(text(ROOT / path))}
    assert {kind for _, kind in blocks} == {"", "bash", "text", "python", "diff", "bibtex"}
    assert {block for block in blocks if block[1] in ("python", "diff")} - RUN_BY.keys() - HERE.keys() == set()


@pytest.mark.parametrize(("page", "kind"), RUN_BY)
def test_the_test_that_tries_the_blocks_of_a_page_reads_it(page, kind):
    source = (ROOT / "tests" / RUN_BY[page, kind]).read_text("utf-8")
    assert page in source
    assert any(call in source for call in ("exec(", "subprocess.run(", "parse_opts("))


def parse(words: list[str], monkeypatch) -> None:
    """Have the parser of a command read its words, "python" or "sts" first."""
    program, name, *rest = words
    if program == "sts":
        name = sts.COMMANDS[name].script
    elif name == "-m":
        name, *rest = rest
        if name == "pytest":
            assert [path for word in rest for path in paths(word) if not (ROOT / path).exists()] == []
            return
        name = f"{name.replace('.', '/')}/__main__.py"
    rest = [NUMBERS.get(word, word) for word in rest]
    if name in SCRIPTS:
        parse_opts(rest, script=name)
        return
    monkeypatch.setattr("sys.argv", [name, *rest])
    importlib.import_module(name.removesuffix(".py").replace("/", ".")).parse_args()


NUMBERS = {"start_class": "0", "end_class": "1", "gpu_id": "0"}


def parsable(line: str) -> list[str]:
    """The words of a command for `parse`; what launches it is left out, and "..." for whatever else."""
    words = [word for word in shlex.split(line.split(" | ")[0], comments=True) if word != "..."]
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if words[0] == "torchrun":
        return ["python", *words[next(i for i, word in enumerate(words) if word.endswith(".py")) :]]
    if words[0] == "sbatch":
        inner = words[-1] if "--wrap" in words else shlex.join(["python", *words[2:]])
        return parsable(inner.replace("$SLURM_ARRAY_TASK_ID", "0"))
    return words


def problem(page: str, line: str, monkeypatch) -> str:
    """Return the fault of a command; "" if it can be run as it is written."""
    words = parsable(line)
    try:
        if words[:2] == ["python", "-c"]:
            compile(words[2], page, "exec")
        elif words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        elif words[0] in ("python", "sts"):
            parse(words, monkeypatch)
        else:
            assert words[0] in OUTSIDE, "no test knows this command"
    except (SystemExit, ValueError, OSError, LookupError, ImportError, AssertionError, StopIteration) as error:
        return f"{line}: {error!r}"
    return ""


LIBRARIES = {"networks.md"}  # whose commands name networks of torchvision and timm, which take seconds to import
PARSED = [pytest.param(name, marks=pytest.mark.slow) if name in LIBRARIES else name for name in PAGES if COMMANDS[name]]


@pytest.mark.parametrize("page", PARSED)
def test_the_commands_of_a_page_are_read_by_their_parsers(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert [found for line in COMMANDS[page] if (found := problem(page, line, monkeypatch))] == []


@pytest.mark.parametrize(
    "line",
    [
        "python train.py --epochs 5",
        "sts doctor --jsn",
        "torchrun --nproc_per_node 2 train.py --splt 1",
        "python -m pytest tests/test_{nothing}.py",
        "make nothing",
        "curl https://example.org",
    ],
)
def test_a_command_that_cannot_be_run_is_found(line, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert problem("page.md", line, monkeypatch)


def flow_names() -> dict:
    """Names that the code of docs/flow.md is given."""
    shape = (2, 24, 32)
    return {name: np.random.default_rng(0).integers(0, 255, shape, np.uint8) for name in ("previous", "following")}


def cam_names() -> dict:
    """Names that the code of docs/understanding.md is given."""
    from models import StreamNetwork, create_model

    network = StreamNetwork(
        create_model("resnet", 3, 5, depth=10, width=0.0625), importlib.import_module("datasets").RGB
    )
    return {"network": network, "batch": {"rgb": torch.zeros(1, 3, 8, 32, 32, dtype=torch.uint8)}}


HERE = {("flow.md", "python"): flow_names, ("understanding.md", "python"): cam_names}


@pytest.mark.parametrize(("page", "kind"), HERE)
def test_the_code_of_a_page_runs(page, kind):
    names = HERE[page, kind]()
    for block in code(PAGES[page], kind):
        exec(compile(block, page, "exec"), names)


def test_the_list_of_claims_has_every_benchmark_with_a_command_that_its_parser_reads(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    lines = re.findall(r"`(python [^`]+)`", text)
    assert [found for line in lines if (found := problem("benchmarks/README.md", line, monkeypatch))] == []
    scripts = {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.py") if path.stem != "__init__"}
    assert scripts <= {shlex.split(line)[1] for line in lines}
