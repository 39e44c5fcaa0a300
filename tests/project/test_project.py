"""The shape of the project, as tests."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from option_reads import declared, read
from source_files import ROOT, imported_files, nodes, sources, text, tree

from models import DISTILLERS
from opts.table import build_parser

ISLANDS = ("models", "datasets", "flow", "engine")
SCRIPTS = (
    "train.py",
    "STS_train.py",
    "test_single_stream.py",
    "test_two_stream.py",
    "test_retrieval.py",
    "predict.py",
    "export.py",
)
TOOLS = [f"utils1/{file.name}" for file in (ROOT / "utils1").glob("extract_*.py")]
SOURCES = sources()


@pytest.mark.parametrize("package", ISLANDS)
def test_packages_do_not_import_each_other(package):
    found = {
        file: {path.relative_to(ROOT).parts[0] for path in graph()[file]} for file in (ROOT / package).rglob("*.py")
    }
    assert {file.name: names for file, names in found.items() if names - {package, "sts_common"}} == {}


@pytest.mark.parametrize("package", [*ISLANDS, "workflows"])
def test_packages_import_themselves_relatively(package):
    absolute = re.compile(rf"^\s*(?:from|import) {package}\b", re.MULTILINE)
    assert [file.name for file in (ROOT / package).rglob("*.py") if absolute.search(text(file))] == []


MAKES_PARSER = re.compile("ArgumentParser|OptionTable")
OPTIONS = frozenset((ROOT / "opts").glob("*.py"))
# The published commands give it; `opts.check` holds it against --modality, which is what is read.
CHECKED_ALONE = {"input_channels"}
# Read by the names in the table; that each of them changes a loss is tested beside the losses.
OF_LOSSES = {option for spec in DISTILLERS.values() for option in spec.options.values()}


@cache
def graph() -> dict[Path, set[Path]]:
    """The files that each file imports."""
    return {file: imported_files(file) for file in SOURCES}


@cache
def reads(file: Path) -> set[str]:
    return read(tree(file))


def readers(parser: Path) -> set[Path]:
    """Files that may read what a parser was given: anything but checks while parsing, or what its users reach."""
    if parser in OPTIONS:
        return set(SOURCES) - OPTIONS
    found, left = set[Path](), {parser, *(file for file in SOURCES if parser in graph()[file])}
    while left:
        found |= left
        left = set[Path]().union(*(graph()[file] for file in left)) - found
    return found


def test_every_option_is_read():
    unread = {}
    for parser in (file for file in SOURCES if MAKES_PARSER.search(text(file))):
        options = declared(tree(parser)) - CHECKED_ALONE
        unread[str(parser)] = options.difference(*map(reads, readers(parser)), OF_LOSSES) if options else set()
    assert {parser: names for parser, names in unread.items() if names} == {}
    assert len(unread) > len(SCRIPTS)


def test_the_options_of_the_scripts_are_found_in_their_source():
    found = set[str]().union(*(declared(tree(file)) for file in OPTIONS))
    assert found == vars(build_parser().parse_args([])).keys()


@pytest.mark.parametrize(
    "line",
    [
        'opt.other = "invented"',
        "opt.invented = 1",
        "file.invented",
        'getattr(file, "invented")',
        '{"invented": 1}["invented"]',
        'print("opt.invented")  # opt.invented',
        'NAMES = ("invented",)',
        'record = {name: getattr(opt, name) for name in ("invented",)}',
    ],
)
def test_an_option_that_is_only_mentioned_is_unread(line):
    assert "invented" not in read(ast.parse(f"def build(opt: Namespace, file: Path):\n    {line}"))


@pytest.mark.parametrize(
    "line",
    [
        "return opt.invented",
        'return getattr(opt, "invented")',
        'return vars(opt)["invented"]',
        "return opt.training.invented",
        "made = parse_opts([]); return made.invented",
        'TABLE = {"a": "invented"}; return {a: getattr(opt, o) for a, o in TABLE.items()}',
    ],
)
def test_an_option_that_is_read_is_found(line):
    assert "invented" in read(ast.parse(f"def build(opt: Namespace, file: Path):\n    {line}"))


def test_an_invented_option_of_a_script_is_found_unread():
    parser = ROOT / "opts" / "data.py"
    group = '    add = table.group("data", "data")\n'
    changed = text(parser).replace(group, f'{group}    add("--invented")\n')
    assert declared(ast.parse(changed)).difference(*map(reads, readers(parser))) == {"invented"}


def test_test_modules_do_not_import_test_modules():
    tests = {file.stem for file in (ROOT / "tests").rglob("test_*.py")}
    pattern = re.compile(r"^\s*(?:from|import) +(test_\w+)", re.MULTILINE)
    imports = {f.name: tests & set(pattern.findall(text(f))) for f in (ROOT / "tests").rglob("*.py")}
    assert {name: found for name, found in imports.items() if found} == {}


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"modality\s*==", "streams are records, not branches"),
        (r"\.cuda\(", "the device is chosen once"),
        (r"import \*", "names have one origin"),
        (r"weights_only\s*=\s*False", "files of others are not trusted"),
        (r"except\s*:", "errors are not swallowed"),
        (r"\bopt\.\w+\s*=[^=]", "options are read, not written"),
    ],
)
def test_the_sources_keep_the_rules(pattern, why):
    allowed = {ROOT / "opts/__init__.py", ROOT / "engine/command/config.py"} if "opt\\." in pattern else set()
    assert [str(f) for f in SOURCES if f not in allowed and re.search(pattern, text(f))] == [], why


def opens_text_by_locale(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a text file and leaves its encoding to the locale."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in ("open", "fdopen", "read_text", "write_text", "FileHandler"):
        return False
    words = [node.value for node in call.args if isinstance(node, ast.Constant)]
    film = isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "av"
    if film or any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if name == "read_text":
        return not call.args
    if name == "write_text":  # `sts_common.files.write_text(path, text)` says its encoding itself
        return isinstance(call.func, ast.Attribute) and len(call.args) < 2
    return any(isinstance(word, str) and re.fullmatch(r"[rwax]\+?", word) for word in words) or (
        name == "open" and not call.args
    )


def test_no_text_file_has_the_encoding_of_the_locale():
    calls = ((file, node) for file in SOURCES for node in nodes(file))
    assert [f"{f.name}:{n.lineno}" for f, n in calls if isinstance(n, ast.Call) and opens_text_by_locale(n)] == []


def test_windows_can_import_the_packages():
    """Modules that only Unix has are imported where they are used, or may be missing."""
    unix = {"fcntl", "grp", "pwd", "resource", "termios"}
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in SOURCES
        for node in tree(file).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        and unix & {getattr(node, "module", None), *(name.name for name in node.names)}
    ]
    assert found == []


def test_no_json_is_written_with_nan():
    texts_alone = {ROOT / name for name in ("datasets/records/quarantine.py", "datasets/lists/annotation_json.py")}
    pattern = re.compile(r"json\.dumps?\((?!.*allow_nan=False)(?!\[name, )")
    assert [str(f) for f in SOURCES if f not in texts_alone and pattern.search(text(f))] == []


def test_no_path_of_a_machine_is_in_the_repository():
    pattern = re.compile(r"/(home|root|Users)/\w")
    files = [f for f in [*SOURCES, *ROOT.glob("*.md"), *ROOT.glob("*.txt"), ROOT / "Makefile"] if f.exists()]
    assert [str(f) for f in files if pattern.search(f.read_text())] == []
