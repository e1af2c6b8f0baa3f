"""The command line of the desk: `PYTHONPATH=book/coursework python -m desk <command>`."""

from __future__ import annotations

import argparse
import importlib
import runpy
import sys
from pathlib import Path

COMMANDS = {"build": "assemble", "private": "overlay", "grade": "grading"}       # command -> the module with its add_parser(subparsers)


def wrong_answers(path: str | Path) -> tuple[dict, dict]:
    """WRONG and RIGHT of a file of answers."""
    names = runpy.run_path(str(path))
    return names.get("WRONG", {}), names.get("RIGHT", {})


def check(arguments: argparse.Namespace) -> int:
    """Run masters: solution, blank and wrong answers."""
    from desk import masters

    wrong, right = wrong_answers(arguments.wrong) if arguments.wrong else ({}, {})
    faults = []
    for path in arguments.masters:
        try:
            master = masters.read(path)
        except masters.FormatError as error:
            faults.append(str(error))
            continue
        solved = not master.name.startswith("graded-")
        said, found = masters.examine(master, wrong.get(master.name), right.get(master.name), student=arguments.student, solved=solved)
        print("\n".join(said), end="\n\n")
        faults += found
    print("\n".join(faults) if faults else "no faults", file=sys.stderr if faults else sys.stdout)
    return 1 if faults else 0


def parser(wanted: str = "") -> argparse.ArgumentParser:
    """The commands; where one is wanted, only the module behind it is loaded."""
    made = argparse.ArgumentParser("desk", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="command")
    checking = commands.add_parser("check", help="run masters: solution full marks, blank zero, wrong answers rejected")
    checking.add_argument("masters", nargs="+", metavar="master.md")
    checking.add_argument("--wrong", metavar="answers.py", help="a file with WRONG (and RIGHT) answers")
    checking.add_argument("--student", type=int, help="another student number than the sample's")
    checking.set_defaults(run=check)
    for name in [COMMANDS[wanted]] if wanted in COMMANDS else [] if wanted == "check" else COMMANDS.values():
        importlib.import_module(f"desk.{name}").add_parser(commands)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    given = parser(arguments[0] if arguments else "").parse_args(arguments)
    return given.run(given)


if __name__ == "__main__":
    sys.exit(main())
