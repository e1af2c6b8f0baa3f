"""The student's process: runs the cells of one notebook and the checks, as told through a pipe.

Started by `run.py` as a script, in a session and a folder of its own.  It goes offline first, then loads what the checks rely on, remembers it
(`guard.py`), and only then runs the first cell.  This protects the marks from accidents and from tricks that are passed around; it is
no sandbox: whoever writes against it runs with the rights of the person who grades.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.machinery
import importlib.util
import json
import os
import signal
import socket
import sys
import types
from pathlib import Path
from typing import Any

NEW_USER, NEW_NET = 0x10000000, 0x40000000
_write, _dumps, _loads, _getpid = os.write, json.dumps, json.loads, os.getpid      # the student may replace the attributes


# --- before anything else --------------------------------------------------------------------------


def go_offline() -> None:
    """No network: a network namespace of one's own where the system allows it, and in any case no connection from Python."""
    try:
        uid, gid, libc = os.getuid(), os.getgid(), ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEW_NET) != 0 and libc.unshare(NEW_USER | NEW_NET) == 0:
            for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                Path("/proc/self", name).write_text(text)
    except (OSError, AttributeError):
        pass                                        # not Linux, or not allowed
    unix = getattr(socket, "AF_UNIX", None)

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.getaddrinfo", "socket.gethostbyname") or (event == "socket.connect" and arguments[0].family != unix):
            raise OSError("there is no network while a notebook is graded")

    sys.addaudithook(refuse)


def end_with_parent() -> None:
    """When the desk is killed, this process is (on Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def limit_files(largest: int) -> None:
    """No core dumps and no single file beyond the limit."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


def load(name: str) -> types.ModuleType:
    """A sibling file as the module desk_<name>."""
    spec = importlib.util.spec_from_file_location(f"desk_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def preload(names: list[str]) -> None:
    """Import what the checks rely on before the student can touch it."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue


def pretend_otter() -> None:
    """The notebook's own `grader` does nothing here: the real checks run apart from it."""
    otter, files = types.ModuleType("otter"), types.ModuleType("otter.test_files")

    class Notebook:
        """Takes everything and does nothing."""

        def __init__(self, *given: Any, **named: Any) -> None:
            pass

        def check(self, *given: Any, **named: Any) -> None:
            pass

        check_all = export = to_pdf = run_plugin = add_plugin_files = check

    class test_case:
        """Keeps the function that it decorates."""

        def __init__(self, *given: Any, **named: Any) -> None:
            self.function = None

        def __call__(self, function: Any) -> Any:
            self.function = function
            return self

    Notebook.__module__, test_case.__module__ = "otter", "otter.test_files"
    otter.Notebook, otter.test_files, files.test_case, otter.__path__ = Notebook, files, test_case, []
    for module in (otter, files):
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        sys.modules[module.__name__] = module


def shell() -> Any:
    """An IPython shell without history and without a way out."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.xmode = "Minimal"
    config.InteractiveShell.colors = "nocolor"
    made = InteractiveShell.instance(config=config)
    object.__setattr__(made, "ask_exit", lambda: None)
    return made


# --- the loop --------------------------------------------------------------------------------------


class Worker:
    """Runs what it is told; an interrupt stops the student's code only."""

    def __init__(self, start: dict[str, Any], answers: int) -> None:
        self.answers, self.token, self.busy, self.pid = answers, start["token"], False, os.getpid()
        checking, given, guard = (sys.modules[f"desk_{name}"] for name in ("checking", "given", "guard"))
        handed_out = given.make(start["given"], start["student"], start["answered"]) if start["student"] else {}
        self.checks = checking.Checks(guard.Guard(start["watch"]), start["helpers"], handed_out)
        self.say, self.spelling = checking.say, checking.spelling
        self.shell = shell()

    def on_interrupt(self, *_: Any) -> None:
        if self.busy:
            self.busy = False
            raise KeyboardInterrupt

    def cell(self, request: dict[str, Any]) -> dict[str, Any]:
        result = self.shell.run_cell(request["code"], store_history=False)
        error = result.error_before_exec or result.error_in_exec
        return {"error": "" if error is None else self.say(error)}

    def check(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.checks.run(self.shell.user_ns, request)
        except KeyboardInterrupt:
            return {"passed": False, "message": "stopped", "number": "", "changed": self.checks.guard.repair(), "other": [], "deceits": []}

    def number(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"number": self.spelling(self.shell.user_ns.get("student")), "changed": self.checks.guard.repair()[:20]}

    def serve(self, request: dict[str, Any]) -> None:
        """Carry out one request and answer it."""
        work = {"cell": self.cell, "check": self.check, "number": self.number}[request["op"]]
        signal.signal(signal.SIGINT, self.on_interrupt)
        self.busy = True
        try:
            reply = work(request)
        except KeyboardInterrupt:
            reply = {"error": "KeyboardInterrupt"}
        self.busy = False
        if _getpid() != self.pid:                 # a child that the student forked and let run on
            os._exit(0)
        _flush()
        send(self.answers, self.token, reply)


def _flush() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def send(answers: int, token: str, reply: dict[str, Any]) -> None:
    data = (token + _dumps(reply) + "\n").encode()
    while data:
        data = data[_write(answers, data):]


def main() -> None:
    """Start, then serve requests until the pipe is closed."""
    end_with_parent()
    go_offline()
    commands, answers = int(sys.argv[1]), int(sys.argv[2])
    sys.argv[:] = [""]
    for descriptor in (commands, answers):
        os.set_inheritable(descriptor, False)
    requests = os.fdopen(commands, "rb")
    start = json.loads(requests.readline())
    limit_files(start["largest"])
    for name in ("guard", "given", "checking"):
        load(name)
    preload(start["preload"])
    pretend_otter()
    worker = Worker(start, answers)
    sys.path.append("")
    for name in ("guard", "given", "checking"):
        del sys.modules[f"desk_{name}"]
    send(answers, worker.token, {"ready": True})
    for line in requests:
        worker.serve(_loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
