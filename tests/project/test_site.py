"""The site of the pages: it has all of them, is built without a warning, and a browser shows each as it should."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from browser import faults, opened, served
from source_files import ROOT

NAVIGATION = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
PAGES = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}


def pages_of(entry: object) -> list[str]:
    """The pages of a part of the navigation, in order."""
    if isinstance(entry, str):
        return [entry]
    inner = entry.values() if isinstance(entry, dict) else entry
    return [page for part in inner for page in pages_of(part)]


def test_every_page_is_in_the_navigation_once():
    assert sorted(pages_of(NAVIGATION)) == sorted({"index.md", "claims.md", *PAGES})


def test_the_reference_has_every_package_that_others_may_import():
    pages = (ROOT / "docs" / "reference").glob("*.md")
    lines = [line for page in pages for line in page.read_text("utf-8").splitlines()]
    shown = {line.removeprefix("::: ") for line in lines if line.startswith("::: ")}
    assert shown == {"sts_net.api", "models", "datasets", "engine", "flow"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as `make docs` builds it."""
    if find_spec("mkdocs") is None:
        pytest.skip("no MkDocs: pip install -r requirements-docs.txt")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_every_page_of_the_site_opens_without_an_error_and_fits_a_telephone(site):
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    assert {Path(page).with_suffix(".html").as_posix() for page in PAGES} < set(pages)
    assert "Distil" in (site / "reference" / "models.html").read_text("utf-8")
    with served(site) as address, opened() as browser:
        assert faults(browser, [f"{address}/{page}" for page in pages]) == []
        broken = site / "broken.html"
        broken.write_text("<p style='width: 900px'>wide</p><script>nothing()</script><img src='none.png'>")
        assert len(faults(browser, [f"{address}/broken.html"])) == 3
