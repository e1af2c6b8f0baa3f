"""A virtual environment as a notebook host offers it, into which the set-up cell installs the package.

The host has torch, numpy, matplotlib, xarray and ipywidgets (and ipykernel, to run anything); everything else comes
with the set-up cell of a notebook, which is pointed at a wheel built from this tree.  Two choices of versions: those of
constraints.txt, and the floors of pyproject.toml.  One environment of each kind stands in ``_build/clean``, made anew in
every run of the tests, shared by its workers, and removed by the last of them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "_build" / "clean"
HOST = ("torch", "numpy", "matplotlib", "xarray", "ipywidgets", "ipykernel")
KEPT = ("torch", "numpy")
KINDS = ("current", "floors")
ROOM = 10 * 2**30  # the PyTorch of an old index brings its CUDA libraries
OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MPLBACKEND", "DEEPLIMITS_STATIC", "DEEPLIMITS_SOURCE", "PIP_CONSTRAINT",
        "PIP_REQUIRE_VIRTUALENV")


class Unavailable(Exception):
    """This environment cannot be made on this machine."""


@dataclass
class Environment:
    """What was installed, before and after the set-up cell."""

    kind: str
    before: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    said: str = ""
    seconds: float = 0.0
    lacking: str = ""

    @property
    def folder(self) -> Path:
        return HOME / self.kind

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def times(self) -> Path:
        """Seconds of every notebook, for those who want to know."""
        return HOME / f"times-{self.kind}.csv"

    def variables(self, **more: str) -> dict[str, str]:
        """The variables of a machine on which nobody has worked on this book."""
        kept = {k: v for k, v in os.environ.items() if k not in OURS and not k.startswith("PYTEST")}
        return {**kept, "PYTHONNOUSERSITE": "1", "OMP_NUM_THREADS": "1", "IPYTHONDIR": str(self.folder / "ipython"), **more}


def floors() -> dict[str, str]:
    """The lowest version that pyproject.toml allows, of everything the package needs."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    found = {re.split(r"[^\w.-]", text)[0]: re.search(r">=\s*([\w.]+)", text) for text in wanted}
    return {name: floor[1] for name, floor in found.items() if floor}


def limits(kind: str) -> Path:
    """The file of constraints for this kind of environment."""
    if kind == "current":
        return ROOT / "constraints.txt"
    file = HOME / "floors.txt"
    file.write_text("".join(f"{name}=={version}\n" for name, version in floors().items()), encoding="utf-8")
    return file


def run(command: list[Any], what: str, environment: dict[str, str], cwd: Path | None = None) -> str:
    done = subprocess.run([str(part) for part in command], env=environment, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{what}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


def wheel() -> Path:
    """The package as it would be installed; built beside the tree, which stays as it is."""
    source, target = HOME / "source", HOME / "wheel"
    for folder in (source, target):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "deeplimits", source / "deeplimits", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source / name)
    run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", target, source], "building the wheel", dict(os.environ))
    return next(target.glob("deeplimits-*.whl"))


PRINT_STATE = """
import hashlib, importlib.metadata as m, json, sys
kept, found = {}, {d.name: d.version for d in m.distributions()}
for name in sys.argv[1:]:
    dist = m.distribution(name)
    files = sorted((str(f.locate()), f.locate().stat().st_mtime_ns) for f in dist.files if f.locate().exists())
    kept[name] = [dist.version, hashlib.sha256(repr(files).encode()).hexdigest()]
print(json.dumps([kept, found]))
"""


def state(environment: Environment) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Version and a fingerprint of every file, of what must stay; the versions of everything."""
    kept, found = json.loads(run([environment.python, "-c", PRINT_STATE, *KEPT], "asking for versions", environment.variables()))
    return kept, found


def make(kind: str, setup: str) -> Environment:
    """A fresh environment, with the host's packages, in which the set-up cell was run."""
    made = Environment(kind)
    if kind == "floors" and sys.version_info[:2] > (3, 12):
        raise Unavailable(f"the floors have no wheels for Python {sys.version_info.major}.{sys.version_info.minor}; try 3.11 or 3.12")
    shutil.rmtree(made.folder, ignore_errors=True)
    made.times.unlink(missing_ok=True)
    if shutil.disk_usage(HOME).free < ROOM:
        raise Unavailable(f"less than {ROOM >> 30} GB free in {HOME.name}/")
    built, constraints = wheel(), limits(kind)
    venv.create(made.folder, with_pip=True)
    quiet = ["-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run([made.python, *quiet, "-c", constraints, *HOST], f"installing what a host has ({kind})", made.variables())
    made.before, _ = state(made)
    started = time.monotonic()
    variables = made.variables(DEEPLIMITS_SOURCE=str(built), PIP_CONSTRAINT=str(constraints))
    made.said = run([made.python, "-c", setup], "the set-up cell", variables, made.folder)
    made.seconds = time.monotonic() - started
    made.after, made.versions = state(made)
    kernel = made.folder / "kernels" / "clean"
    kernel.mkdir(parents=True)
    argv = [str(made.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": kind, "language": "python"}), encoding="utf-8")
    return made


def ready(kind: str, setup: str, run_id: str) -> Environment:
    """The environment of this run of the tests, made by the first worker that asks."""
    HOME.mkdir(parents=True, exist_ok=True)
    record = HOME / f"{kind}.json"
    with FileLock(HOME / "lock"):  # one for both kinds: they build the same wheel
        known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
        if known.get("run") != run_id:
            try:
                made = make(kind, setup)
            except Unavailable as reason:
                made = Environment(kind, lacking=str(reason))
            known = {"run": run_id, **made.__dict__}
            record.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return Environment(**{k: v for k, v in known.items() if k != "run"})


@contextmanager
def visit(run_id: str) -> Iterator[None]:
    """The worker that leaves last clears up: the environments take gigabytes."""
    HOME.mkdir(parents=True, exist_ok=True)
    mine = HOME / f"{run_id}-{os.getpid()}.visitor"
    mine.touch()
    try:
        yield
    finally:
        with FileLock(HOME / "lock"):
            mine.unlink()
            if not list(HOME.glob(f"{run_id}-*.visitor")):
                for name in (*KINDS, "source", "wheel"):
                    shutil.rmtree(HOME / name, ignore_errors=True)
                for stale in HOME.glob("*.visitor"):
                    stale.unlink()


def execute(environment: Environment, path: Path, folder: Path) -> tuple[Any, float]:
    """The notebook, run from top to bottom in that environment, in an empty folder."""
    import nbclient
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    notebook = nbformat.read(path, 4)
    notebook.metadata["kernelspec"] = {"name": "clean", "display_name": environment.kind, "language": "python"}
    kernels = KernelSpecManager(kernel_dirs=[str(environment.folder / "kernels")], ensure_native_kernel=False)
    manager = AsyncKernelManager(kernel_name="clean", kernel_spec_manager=kernels)
    client = nbclient.NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": str(folder)}})
    started = time.monotonic()
    client.execute(env=environment.variables())
    return notebook, time.monotonic() - started

