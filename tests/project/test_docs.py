"""The pages: links lead somewhere, the README is short and shows them all."""

import re
import shlex
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from pages import FENCE, commands, paths
from source_files import ROOT

from opts import parse_opts
from utils1 import init_dataset
from workflows.listing.properties import VideoProperties
from workflows.listing.recommended import choose_network, next_commands, shown

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
ALL_PAGES = [*PAGES, ROOT / "benchmarks" / "README.md"]
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.add(
            slug if slug not in found else next(f"{slug}-{i}" for i in range(1, 99) if f"{slug}-{i}" not in found)
        )
    return found


def broken(page: Path, link: str) -> bool:
    """Whether a relative link of a page leads nowhere."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_to_a_file_and_a_heading(page):
    links = [link for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link)]
    assert [link for link in links if broken(page, link)] == []


def named_files(text: str) -> set[str]:
    """The source files that a page names by a path, those in braces one by one."""
    words = re.findall(r"(?<![\w./<:-])[\w{},-]+(?:/[\w{},-]+)+\.(?:py|cpp|h|md)\b", text)
    return set[str]().union(*map(paths, words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there_or_made_on_it(page):
    text = page.read_text("utf-8")
    made = set(re.findall(r"^\*\*`([^`]+)`\*\*$", text, re.MULTILINE))
    assert [path for path in named_files(text) - made if not (ROOT / path).exists()] == []


def test_files_in_braces_are_named_one_by_one():
    text = "`a/test_{b,c}.py`, see https://x.org/y/z.py and d/e.md"
    assert named_files(text) == {"a/test_b.py", "a/test_c.py", "d/e.md"}


@pytest.mark.parametrize("link", ["docs/nothing.md", "docs/data.md#nothing", "#nothing"])
def test_a_link_that_leads_nowhere_is_found(link):
    assert broken(README, link)


def test_the_readme_is_short_and_leads_to_every_page_and_the_picture():
    links = {link.partition("#")[0] for link in LINK.findall(prose(README))}
    assert len(README.read_text("utf-8").splitlines()) <= 150
    assert {f"docs/{page.name}" for page in PAGES[1:]} | {"docs/sts_net.svg"} <= links


def test_the_picture_is_an_svg_with_colours_for_dark_pages():
    text = (ROOT / "docs" / "sts_net.svg").read_text("utf-8")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    light, dark = text.split("@media (prefers-color-scheme: dark)")
    coloured = re.compile(r"\.([\w-]+) \{ (?:fill|stroke)")
    assert set(coloured.findall(light)) == set(coloured.findall(dark))


def test_the_first_hour_has_the_commands_that_are_printed_for_such_videos(tmp_path, monkeypatch):
    first, *rest = commands("docs/first_hour.md")
    example = Path("my_videos/wave/WeddingCrashers_wave_u_nm_np1_fr_goo_0.avi")
    videos = VideoProperties("files", example, 160, source_rate=False)
    assert rest == [*map(shown, next_commands(Path("my_videos"), Path("my_data"), videos, 748))]
    script, *words = shlex.split(first)[1:]
    assert (script, init_dataset.parse_args(words).out) == ("utils1/init_dataset.py", Path("my_data"))
    config, _ = choose_network(748, videos)
    (tmp_path / "my_data").mkdir()
    (tmp_path / "my_data" / "train.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    trained = [parse_opts(shlex.split(line)[2:]) for line in rest if "train.py" in line]
    assert [(opt.run_name, opt.n_epochs, opt.sample_size) for opt in trained] == [
        (name, 48, 64) for name in ("rgb", "flow", "flow_sfs")
    ]


def test_the_numbers_of_a_split_have_their_commands():
    parsed = [init_dataset.parse_args(shlex.split(line)[2:]) for line in commands("docs/data.md") if "by_" in line]
    assert [(opt.out.name, bool(opt.group_by)) for opt in parsed] == [("by_film", False), ("by_number", True)]
