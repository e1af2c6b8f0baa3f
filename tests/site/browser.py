"""What the site tests share: the built pages, a local server, one headless browser, axe-core."""

from __future__ import annotations

import functools
import gzip
import http.server
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("DEEPLIMITS_SITE", ROOT / "_build" / "html"))
NOTEBOOKS = SITE.parent / "notebooks"
REQUIRED = bool(os.environ.get("DEEPLIMITS_REQUIRE_BROWSER"))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
PACKED = {".html", ".js", ".css", ".svg", ".json", ".txt", ".inv"}
SETTLED = """async () => {
  if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise;
  await document.fonts.ready;
  for (const image of document.images) if (!image.complete && image.loading !== 'lazy') await image.decode().catch(() => 0);
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


def lacking(reason: str) -> None:
    """Skip, or fail where the site tests are required (in `.ci/run`)."""
    (pytest.fail if REQUIRED else pytest.skip)(reason)


def pages() -> list[str]:
    """Every page of the built site, but for those that only lead to another and the one that names its files from the root."""
    found = (p.relative_to(SITE).as_posix() for p in SITE.rglob("*.html")) if SITE.is_dir() else ()
    named = (p for p in found if not p.startswith(("_static/", "reports/")) and p != "404.html")
    return sorted(p for p in named if 'http-equiv="Refresh"' not in (SITE / p).read_text(encoding="utf8"))


def need_site() -> None:
    if not (SITE / "index.html").is_file():
        lacking(f"there is no site in {SITE.name}/: run make book first")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Sends text compressed, as a host of static pages does."""

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            return self.send_error(404)
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        if path.suffix in PACKED:
            data = gzip.compress(data, 6, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def executable() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


class Visit:
    """A page under observation: nothing but the local server answers, and everything is written down."""

    def __init__(self, browser: Any, base: str, **context: Any):
        self.base = base
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **context)
        self.page = self.context.new_page()
        self.weights: dict[str, int] = {}
        self.console: list[str] = []
        self.failed: list[str] = []
        self.off_site: list[str] = []
        self.page.route("**/*", self._route)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        self.page.on("response", self._response)
        self.page.on("requestfailed", self._failed)

    def _route(self, route: Any) -> None:
        url = route.request.url
        if url.startswith((self.base, "data:", "blob:")):
            route.continue_()
        else:
            self.off_site.append(url)
            route.abort()

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.console.append(f"{message.type}: {message.text[:300]}")

    def _response(self, response: Any) -> None:
        if response.url.startswith(self.base):
            self.weights[response.url[len(self.base):]] = int(response.headers.get("content-length", 0))
        if response.status >= 400:
            self.failed.append(f"{response.status} {response.url}")

    def _failed(self, request: Any) -> None:
        if request.url.startswith(self.base):
            self.failed.append(f"{request.failure} {request.url}")

    def open(self, address: str) -> Any:
        self.page.goto(self.base + address, wait_until="load")
        self.page.evaluate(SETTLED)
        return self.page

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *details: Any) -> None:
        self.context.close()


def axe_source() -> str:
    """axe-core from npm, kept in the build folder."""
    script = ROOT / "_build" / "axe.min.js"
    if not script.is_file():
        npm = shutil.which("npm")
        if npm is None:
            lacking("axe-core comes by npm, and there is no npm on this machine")
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run([npm, "pack", "--silent", "axe-core@4"], cwd=home, capture_output=True, text=True)
            packed = list(Path(home).glob("axe-core-*.tgz"))
            if done.returncode or not packed:
                lacking(f"npm could not fetch axe-core: {done.stderr.strip()[-300:]}")
            with tarfile.open(packed[0]) as archive:
                archive.extractall(home, filter="data")
            script.parent.mkdir(exist_ok=True)
            mine = script.with_suffix(f".{os.getpid()}")          # two workers may fetch at once
            shutil.copyfile(Path(home) / "package" / "axe.min.js", mine)
            os.replace(mine, script)
    return script.read_text(encoding="utf8")
