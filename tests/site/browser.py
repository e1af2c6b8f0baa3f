"""What all tests in a browser share: the built pages, a local server, one headless browser, visits to pages, axe-core."""

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
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("DEEPLIMITS_SITE", ROOT / "_build" / "html"))
NOTEBOOKS = SITE.parent / "notebooks"
REQUIRED = bool(os.environ.get("DEEPLIMITS_REQUIRE_BROWSER"))
# The first is the same browser without its windows: a third less to do.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The network is closed: no name but this machine's address leads anywhere.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--in-process-gpu", "--disable-extensions",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--no-proxy-server",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
PACKED = {".html", ".js", ".css", ".svg", ".json", ".txt", ".inv"}
SETTLED = """async () => {
  if (window.MathJax?.startup?.promise) await window.MathJax.startup.promise;
  await document.fonts.ready;
  for (const image of document.images) if (!image.complete && image.loading !== 'lazy') await image.decode().catch(() => 0);
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
# The sizes with which the pictures come, before any script of the page has run.
ARRIVE = """document.addEventListener("readystatechange", () => {
  window.arrived = [...document.querySelectorAll("article :is(img:not(.toggler), .dl-figure svg, .dl-explorer, .dl-explorer > *)")]
    .map((e) => [e, e.getBoundingClientRect().height]);
}, {once: true});"""


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


@functools.lru_cache(maxsize=200)
def packed(path: Path, when: int) -> bytes:
    return gzip.compress(path.read_bytes(), 6, mtime=0)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Sends text compressed, as a host of static pages does."""

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            return self.send_error(404)
        data = packed(path, path.stat().st_mtime_ns) if path.suffix in PACKED else path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        if path.suffix in PACKED:
            self.send_header("Content-Encoding", "gzip")
        if "_static" in path.parts:
            self.send_header("Cache-Control", "max-age=3600")
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


_contexts: weakref.WeakKeyDictionary[Any, dict[tuple, Any]] = weakref.WeakKeyDictionary()


def context_of(browser: Any, options: dict[str, Any]) -> Any:
    """The browser's context with such options: one for all visits, so that what every page loads is fetched once."""
    known, key = _contexts.setdefault(browser, {}), tuple(sorted(options.items()))
    if key not in known:
        known[key] = browser.new_context(**options)
        known[key].add_init_script(ARRIVE)
    return known[key]


class Visit:
    """A page under observation, with the network closed: everything is written down."""

    def __init__(self, browser: Any, base: str, *, width: int = 1280, height: int = 900, scheme: str = "light", still: bool = False,
                 **options: Any):
        self.base = base
        self.page = context_of(browser, options).new_page()
        self.page.set_default_timeout(90_000)            # a busy machine may take its time
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme, **({"reduced_motion": "reduce"} if still else {}))
        self.weights: dict[str, int] = {}
        self.console: list[str] = []
        self.failed: list[str] = []
        self.off_site: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.console.append(f"uncaught: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", self._response)
        self.page.on("requestfailed", self._failed)

    @property
    def troubles(self) -> list[str]:
        """Errors and warnings, failed requests, requests to other hosts."""
        return [f"{kind}: {what}" for kind, found in (("console", self.console), ("failed request", self.failed),
                                                      ("request to another host", self.off_site)) for what in found]

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:", "blob:", "about:")):
            self.off_site.append(request.url[:300])

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.console.append(f"{message.type}: {message.text[:300]}")

    def _response(self, response: Any) -> None:
        if response.url.startswith(self.base):
            self.weights[response.url[len(self.base):]] = int(response.headers.get("content-length", 0))
        if response.status >= 400:
            self.failed.append(f"{response.status} {response.url}")

    def _failed(self, request: Any) -> None:
        if request.url.startswith(self.base) and request.failure != "net::ERR_ABORTED":   # a reader who leaves stops what still comes
            self.failed.append(f"{request.failure} {request.url}")

    def open(self, address: str) -> Any:
        self.page.goto(self.base + address, wait_until="load")
        self.page.evaluate(SETTLED)
        return self.page

    def __enter__(self) -> Visit:
        return self

    def close(self) -> None:
        """What the page kept (a chosen scheme, say) goes with it: the next visit has the same context."""
        with suppress(Exception):                        # without script, or on a blank page, nothing was kept
            self.page.evaluate("localStorage.clear()")
        self.page.close()

    def __exit__(self, *details: Any) -> None:
        self.close()


@functools.cache
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


def violations(page: Any) -> list[list[str]]:
    """What axe-core finds in the main part of a page: the rule, and the first element that breaks it."""
    page.evaluate(axe_source())
    return page.evaluate("axe.run(document.querySelector('main')).then((r) => r.violations.map((v) => [v.id, v.nodes[0].html]))")
