"""Pages in a headless browser: what they complain of, and what is wider than its window."""

import importlib
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (390, 1280)  # pixels: a telephone, a laptop
CHROMIUM = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PATIENCE = 2000  # milliseconds
WIDER = "document.documentElement.scrollWidth - window.innerWidth"


@contextmanager
def opened() -> Iterator[Any]:
    """A browser of playwright, with the system's Chromium or its own; the test is skipped if there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -r requirements-docs.txt")
    system = next(filter(None, map(shutil.which, CHROMIUM)), None)
    with api.sync_playwright() as playwright:
        path = system or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium: apt-get install chromium-headless-shell")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def faults(browser: Any, urls: Iterable[str]) -> list[str]:
    """Errors that pages write to the console or raise, files that they want in vain, and widths that they overflow."""
    timeout = importlib.import_module("playwright.sync_api").TimeoutError
    found: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: found.append(f"{page.url}: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(f"{page.url}: {error}"))

    def note_failure(request: Any) -> None:
        # Aborted is what is still on its way, as the index of the search is, when the next page is opened.
        if "ERR_ABORTED" not in request.failure:
            found.append(f"{request.url}: {request.failure}")

    page.on("requestfailed", note_failure)
    for url in urls:
        page.goto(url, wait_until="load")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            try:  # menus may be sliding into their places
                page.wait_for_function(f"{WIDER} <= 0", timeout=PATIENCE)
            except timeout:
                if (wider := page.evaluate(WIDER)) > 0:  # a busy machine may only have been late
                    found.append(f"{url}: {wider} pixels wider than {width}")
    page.close()
    return found


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which the files of a folder are served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
