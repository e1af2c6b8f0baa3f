"""Limits on a process and everything that it starts: time, resident memory, written and printed bytes, number of processes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    ``timeout`` seconds for the whole notebook (loading torch does not count), ``cell`` seconds for one cell and for the checks of one question
    (a third of the whole if 0); ``memory`` MB resident in all its processes together; ``printed`` MB by one cell; ``written`` MB in files; ``processes`` at a time.
    """

    timeout: float = 300.0
    cell: float = 0.0
    memory: float = 3000.0
    printed: float = 2.0
    written: float = 200.0
    processes: int = 64

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "cell" and value == 0:
                object.__setattr__(self, "cell", self.timeout / 3)
            elif value <= 0:
                raise ValueError(f"--{field.name} must be positive; got {value:g}")

    def text(self) -> str:
        """One spelling, for the key of a result."""
        return repr(dataclasses.astuple(self))


def size_of(folder: Path) -> int:
    """The bytes that a folder takes on the disk (a hole in a file takes none)."""
    total, folders = 0, [str(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


class Tree:
    """A process that leads a session of its own, with all that came from it, even what detached itself."""

    MARK = "DESK_JOB"                               # an environment variable that marks what belongs together

    def __init__(self, pid: int, mark: str) -> None:
        import psutil

        self.psutil, self.mark = psutil, mark
        self.root = psutil.Process(pid)
        self.seen = {self.root}

    def members(self) -> list:
        """The processes that are alive now."""
        for process in list(self.seen):
            with contextlib.suppress(self.psutil.Error):
                self.seen.update(process.children(recursive=process == self.root))
        self.seen = {process for process in self.seen if self._alive(process)}
        return list(self.seen)

    def _alive(self, process) -> bool:
        try:
            return process.is_running() and process.status() != self.psutil.STATUS_ZOMBIE
        except self.psutil.Error:
            return False

    def memory(self) -> tuple[int, int]:
        """Resident bytes of all together, and how many they are."""
        total, members = 0, self.members()
        for process in members:
            with contextlib.suppress(self.psutil.Error):
                total += process.memory_info().rss
        return total, len(members)

    def strays(self) -> list:
        """Processes anywhere that carry the mark: children whose parents died before anybody looked."""
        found = []
        for process in self.psutil.process_iter():
            with contextlib.suppress(self.psutil.Error, OSError):
                if process.environ().get(self.MARK) == self.mark and self._alive(process):
                    found.append(process)
        return found

    def kill(self, patience: float = 5.0) -> None:
        """End all of them, those that start others meanwhile too."""
        end = time.monotonic() + patience
        left = self.members()
        while time.monotonic() < end:
            for process in left:
                with contextlib.suppress(self.psutil.Error):
                    process.kill()
            if not left:
                left = self.strays()
                if not left:
                    return
                self.seen.update(left)
                continue
            time.sleep(0.02)
            left = self.members()


class Watch:
    """Looks at a tree and its folder now and then; `fault` says which limit is passed."""

    def __init__(self, tree: Tree, folder: Path, limits: Limits) -> None:
        self.tree, self.folder, self.limits = tree, folder, limits
        self.memory_at = self.files_at = 0.0
        self.most = 0

    def fault(self, at_once: bool = False) -> tuple[str, str] | None:
        """A status and a sentence, or None while all is well; looks when it is time to, or at once."""
        now = time.monotonic()
        if at_once or now >= self.memory_at:
            used, number = self.tree.memory()
            self.most = max(self.most, used)
            self.memory_at = now + (0.1 if used < self.limits.memory * MB / 2 else 0.03)
            if used > self.limits.memory * MB:
                return "out of memory", f"more than {self.limits.memory:g} MB of memory"
            if number > self.limits.processes:
                return "crashed", f"more than {self.limits.processes} processes at a time"
        if at_once or now >= self.files_at:
            self.files_at = now + 0.5
            if size_of(self.folder) > self.limits.written * MB:
                return "too much output", f"files of more than {self.limits.written:g} MB"
        return None
