"""The execution cache forgets its results when the package or a version changes.

Jupyter-cache looks at the code cells alone, so an edit in ``deeplimits/`` would leave old pictures on the page.  The
cache therefore lives in a folder named by a hash of everything else that a cell's output depends on.  The folder is a
configuration value of Sphinx's environment: when it changes, every page is read again, and so executed again.
"""
from __future__ import annotations

import hashlib
import os
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = 3                                        # going back to a recent state stays fast
SOURCES = {".py", ".js", ".css", ".mplstyle"}


def inputs(root: Path):
    """Every file whose content decides what a cell prints."""
    yield from (p for p in sorted((root / "deeplimits").rglob("*")) if p.suffix in SOURCES)
    yield from (p for p in sorted((root / "book" / "results").rglob("*")) if p.is_file())
    if (root / "constraints.txt").is_file():
        yield root / "constraints.txt"


def key(root: Path = ROOT) -> str:
    state = hashlib.sha256(sys.version.encode())
    for line in sorted({f"{d.name}=={d.version}\n" for d in distributions()}):
        state.update(line.encode())
    for path in inputs(root):
        state.update(f"{path.relative_to(root).as_posix()}\0".encode())
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:16]


def extensions() -> str:
    """These extensions shape the pages too: a change in one of them must rewrite the pages."""
    here = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(p.read_bytes() for p in here)).hexdigest()[:16]


def choose(app, config):
    home = Path(app.outdir).parent / ".jupyter_cache"
    current = home / key()
    current.mkdir(parents=True, exist_ok=True)
    os.utime(current)
    config.nb_execution_cache_path = str(current)
    config.book_extensions = extensions()
    others = sorted(home.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in others[KEPT:]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()


def setup(app):
    os.environ["DEEPLIMITS_STATIC"] = "1"       # kernels inherit it: explorers are figures, not widgets
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors lose more to waiting threads than they gain; simulate has its own
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    sys.path.insert(0, str(ROOT))               # the API pages document the package beside the book
    app.add_config_value("book_extensions", "", "env")
    app.connect("config-inited", choose)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
