"""Results kept between runs: one file for each submission, named by everything that it depends on."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import threading
from pathlib import Path

from .archive import ProblemSet
from .identity import Submission, spelling
from .limits import Limits
from .run import Result

HERE = Path(__file__).parent
SOURCES = ("worker.py", "checking.py", "guard.py", "given.py", "run.py", "process.py", "notebook.py", "limits.py")


@functools.cache
def version() -> str:
    """A hash of the code that decides on marks: the desk's own and that of the package's checks."""
    sources = [HERE / name for name in SOURCES] + [HERE.parents[3] / "deeplimits" / "coursework.py"]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources if path.exists())).hexdigest()


def key(submission: Submission, problems: ProblemSet, limits: Limits) -> str:
    """The name of a result: notebook, files beside it, archive, whose it is, limits and code."""
    beside = [name.encode() + b"\0" + data for name, data in sorted(submission.files.items())]
    parts = [submission.data, *beside, problems.digest.encode(), spelling(submission.person.id).encode(), limits.text().encode(), version().encode(),
             submission.fault.encode(), repr([(q.name, q.title) for q in problems.questions.values()]).encode()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:32]


def write_text(path: Path, text: str) -> None:
    """Write a file at once: either the old text stands there or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    part.write_text(text, encoding="utf-8", errors="replace")
    part.replace(path)


def load(folder: Path, name: str) -> Result | None:
    """A kept result; None if there is none or it cannot be read."""
    try:
        return Result(**json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def save(folder: Path, name: str, result: Result) -> None:
    """Keep a result."""
    write_text(folder / f"{name}.json", json.dumps(dataclasses.asdict(result), indent=1))
