"""A student's process as seen from outside: ask it for a cell or a check, and stop it when it passes a limit."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from .limits import MB, Limits, Tree, Watch

WORKER = Path(__file__).with_name("worker.py")
ROOT = Path(__file__).resolve().parents[4]
GRACE = 3.0                                         # seconds that a stopped cell has to end
START = 600.0                                       # seconds to load modules and make the data, which do not count
LONGEST_REPLY = 200_000
KEPT = 2000                                         # characters of what a cell printed last


class Lost(Exception):
    """The process is gone: ``status`` and the reason in words."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Stopped(Exception):
    """The person who grades wants to stop."""


def environment(home: Path, mark: str) -> dict[str, str]:
    """A small environment without anything of the person's own."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "SYSTEMROOT") if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    places = {"HOME": home, "TMPDIR": home / "tmp", "IPYTHONDIR": home / ".ipython", "MPLCONFIGDIR": home / ".matplotlib", "XDG_CACHE_HOME": home / ".cache"}
    python = {"PYTHONPATH": str(ROOT), "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"}
    offline = {"PIP_NO_INDEX": "1", "PIP_RETRIES": "0", "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    return {**kept, **threads, **{k: str(v) for k, v in places.items()}, **python, **offline, "MPLBACKEND": "Agg", "DEEPLIMITS_STATIC": "1", Tree.MARK: mark}


class Student:
    """One process with a folder and a home of its own; a context manager that leaves nothing behind."""

    def __init__(self, start: dict[str, Any], files: dict[str, bytes], limits: Limits, end: float, stop: threading.Event, fonts: Path | None = None) -> None:
        self.start, self.files, self.limits, self.end, self.stop, self.fonts = start, files, limits, end, stop, fonts
        self.token = secrets.token_hex(16)
        self.printed, self.last, self.buffer = 0, b"", b""

    def __enter__(self) -> Student:
        self.home = Path(tempfile.mkdtemp(prefix="desk-"))
        began, end, self.end = time.monotonic(), self.end, math.inf
        try:
            self._launch()
            self.wait({}, START, send=False, what="loading the modules of the checks")
            self.end = end + time.monotonic() - began
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "process"):
            self.tree.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(2)
            self.selector.close()
            for pipe in (self.process.stdout, self.commands):
                with contextlib.suppress(OSError):
                    pipe.close()
            os.close(self.answers)
        shutil.rmtree(self.home, ignore_errors=True)

    def _launch(self) -> None:
        folder = self.home / "work"
        for path in (folder, self.home / "tmp", self.home / ".ipython"):
            path.mkdir(parents=True)
        if self.fonts and self.fonts.is_dir():
            shutil.copytree(self.fonts, self.home / ".matplotlib")
        for name, data in self.files.items():
            target = (folder / name).resolve()
            if target.is_relative_to(folder.resolve()):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        mark = secrets.token_hex(8)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(WORKER), str(theirs_in), str(theirs_out)], pass_fds=(theirs_in, theirs_out), cwd=folder, start_new_session=True,
                env=environment(self.home, mark), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self.answers, self.commands = ours_out, os.fdopen(ours_in, "wb", buffering=0)
        self.tree = Tree(self.process.pid, mark)
        self.watch = Watch(self.tree, self.home, self.limits)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.answers, selectors.EVENT_READ, self._read_answers)
        self.selector.register(self.process.stdout, selectors.EVENT_READ, self._read_output)
        self._send({**self.start, "token": self.token, "largest": int(self.limits.written * MB / 2)})

    # --- pipes ---

    def _send(self, request: dict[str, Any]) -> None:
        data = memoryview((json.dumps(request) + "\n").encode())
        try:
            while data:
                data = data[self.commands.write(data):]
        except OSError as error:
            raise self._gone() from error

    def _read_output(self) -> None:
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        if not data:
            self.selector.unregister(self.process.stdout)
        self.printed += len(data)
        self.last = (self.last + data)[-KEPT:]

    def _read_answers(self) -> None:
        data = os.read(self.answers, 1 << 16)
        if not data:
            raise self._gone()
        self.buffer += data
        if len(self.buffer) > LONGEST_REPLY:
            raise Lost("tampering found", "it writes into the pipe of the results")

    def _reply(self) -> dict[str, Any] | None:
        line, newline, rest = self.buffer.partition(b"\n")
        if not newline:
            return None
        self.buffer = rest
        if not line.startswith(self.token.encode()):
            raise Lost("tampering found", "it writes into the pipe of the results")
        return json.loads(line[len(self.token):])

    def _gone(self) -> Lost:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        code = self.process.poll()
        how = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"
        return Lost("crashed", f"it ended the process ({how})")

    # --- asking ---

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The reply to a request; "stopped" in it says why it was interrupted.  Raises `Lost` when the process had to be ended."""
        return self.wait(request, seconds)

    def wait(self, request: dict[str, Any], seconds: float, *, send: bool = True, what: str = "") -> dict[str, Any]:
        """Send a request and wait for the reply, within the limits."""
        self.printed, self.last = 0, b""
        if send:
            self._send(request)
        deadline, stopped = time.monotonic() + seconds, None
        while True:
            for key, _ in self.selector.select(0.05):
                key.data()
            if (reply := self._reply()) is not None:
                if fault := self.watch.fault(at_once=True):         # whatever it left behind is its own fault, not the next one's
                    self._kill(*fault)
                late = None if stopped or self.printed <= self.limits.printed * MB else self._too_much()
                return {**reply, "stopped": stopped or late}
            self._check_limits()
            over = self._over(deadline, seconds, what)
            if over and stopped:
                self._kill(*(stopped if self.printed <= self.limits.printed * MB else self._too_much()))
            if over:
                stopped, deadline, self.printed = over, time.monotonic() + GRACE, 0
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.process.pid, signal.SIGINT)

    def _too_much(self) -> tuple[str, str]:
        return "too much output", f"printed more than {self.limits.printed:g} MB"

    def _over(self, deadline: float, seconds: float, what: str) -> tuple[str, str] | None:
        if self.printed > self.limits.printed * MB:
            return self._too_much()
        if time.monotonic() > deadline:
            return "timed out", f"{what or 'it'} took more than {seconds:.3g} s"
        return None

    def _check_limits(self) -> None:
        if self.stop.is_set():
            self.tree.kill()
            raise Stopped
        if time.monotonic() > self.end:
            self._kill("timed out", f"the whole notebook took more than {self.limits.timeout:g} s")
        if fault := self.watch.fault():
            self._kill(*fault)

    def _kill(self, status: str, reason: str) -> None:
        self.tree.kill()
        raise Lost(status, reason)


def font_cache(folder: Path) -> Path | None:
    """matplotlib's list of fonts, made once: without it every first figure would look through all fonts of the machine."""
    if not (folder.is_dir() and any(folder.glob("fontlist*.json"))):
        folder.mkdir(parents=True, exist_ok=True)
        code = "import matplotlib.font_manager"
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "MPLCONFIGDIR": str(folder)}, capture_output=True, check=False)
    return folder if any(folder.glob("fontlist*.json")) else None
