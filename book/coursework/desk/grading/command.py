"""`python -m desk grade`: a folder of submissions becomes tables, a report for each student and a summary of the class."""

from __future__ import annotations

import argparse
import contextlib
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from . import report, store, tables
from .archive import BadInput, ProblemSet, read_archive, set_name
from .identity import Person, Submission, collect, read_roster, spelling
from .limits import Limits
from .notebook import Unreadable
from .notebook import read as read_notebook
from .process import ROOT, Stopped, font_cache
from .run import Result, grade, unreadable

BUILT = ROOT / "_build" / "coursework"
MASTERS = ROOT / "book" / "coursework"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    limits = Limits()
    parser.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="a folder of notebooks, or the zip archive that a learning platform gives")
    parser.add_argument("--set", dest="set_name", default="", metavar="NAME", help="which set: part1, open-part1, project, … (else the one that the notebooks name)")
    parser.add_argument("--archive", type=Path, metavar="ZIP", help="the autograder archive, if not the built one of the set")
    parser.add_argument("--private", type=Path, metavar="DIR", help="the teacher's folder: its archives and masters come first")
    parser.add_argument("--roster", type=Path, metavar="CSV", help="the class: columns id,name,email (a gradebook exported by Canvas will do)")
    parser.add_argument("--manual", type=Path, metavar="CSV", help="points that a person gave: id,question,points,comment (else manual.csv among the submissions)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write; _build/grades/<set> if not given")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="how many at a time (%(default)s)")
    parser.add_argument("--timeout", type=float, default=limits.timeout, metavar="S", help="seconds for a whole notebook (%(default)g)")
    parser.add_argument("--cell", type=float, default=0.0, metavar="S", help="seconds for one cell, and for the checks of one question (a third of --timeout)")
    parser.add_argument("--memory", type=float, default=limits.memory, metavar="MB", help="memory of a notebook with all its processes (%(default)g)")
    parser.add_argument("--written", type=float, default=limits.written, metavar="MB", help="bytes in files (%(default)g)")
    parser.add_argument("--printed", type=float, default=limits.printed, metavar="MB", help="bytes printed by one cell (%(default)g)")
    parser.add_argument("--hide-hidden", action="store_true", help="do not show students the messages of hidden checks")
    parser.add_argument("--fresh", action="store_true", help="grade everything again, also what has not changed")


# --- what to grade with ----------------------------------------------------------------------------


def roots(private: Path | None) -> list[Path]:
    """Where built archives lie, the private ones first."""
    if private is not None and not private.is_dir():
        raise BadInput(f"--private: there is no folder {private}; `make private-set PRIVATE={private}` makes it")
    return [*([private / "built"] if private else []), BUILT]


def candidates(name: str) -> list[str]:
    """The names of sets that a word means: part1 is the graded set before the open one."""
    return [name] if name.startswith(("open-", "graded-")) else [f"graded-{name}", f"open-{name}", name]


def find_archive(name: str, private: Path | None) -> Path:
    """The built archive of a set."""
    if not name:
        raise BadInput("--set: which set? Name one (--set part1), or an archive (--archive open-part1.zip)")
    there = [path for root in roots(private) for path in sorted((root / "autograder").glob("*.zip"))]
    for wanted in candidates(name):
        for path in there:
            if set_name(path) == wanted:
                return path
    built = ", ".join(sorted({set_name(path) for path in there})) or "none"
    raise BadInput(f"--set: no archive of {name} is built (built: {built}); run `make coursework`, or name an archive with --archive")


def find_master(name: str, private: Path | None, archive: Path) -> Any:
    """The master that belongs to an archive: beside it, in the private folder, or in the book; None if there is none."""
    from desk import masters

    places = [archive.parent, *([private / "masters"] if private else []), MASTERS / "graded", MASTERS / "open"]
    for path in (path for place in places for path in sorted(place.glob("*.md"))):
        text = path.read_text(encoding="utf-8")
        if "# ASSIGNMENT CONFIG" in text and re.search(rf"^name: *{re.escape(name)} *$", text, flags=re.MULTILINE):
            return masters.read(path)
    return None


def say_they_belong_to(submissions: list[Submission]) -> str:
    """The set that most of the notebooks name."""
    named: list[str] = []
    for submission in submissions:
        with contextlib.suppress(Unreadable):
            named.append(read_notebook(submission.data).assignment)
    return max(sorted(set(filter(None, named))), key=named.count, default="")


def find_set(arguments: argparse.Namespace, submissions: list[Submission]) -> ProblemSet:
    """The set to grade with: the one that is named, else the one that the notebooks name."""
    archive = arguments.archive or find_archive(arguments.set_name or say_they_belong_to(submissions), arguments.private)
    master = find_master(set_name(archive), arguments.private, archive)
    if master is None:
        print(f"no master named {set_name(archive)} was found: questions that a person judges are unknown, data of one's own is the notebook's", file=sys.stderr)
    return read_archive(archive, master)


# --- the run ---------------------------------------------------------------------------------------


class Progress:
    """One line that says how far the run is."""

    def __init__(self, total: int, out: Any = None) -> None:
        self.total, self.done, self.began, self.out = total, 0, time.monotonic(), out or sys.stderr

    def show(self, submission: Submission, result: Result) -> None:
        """One more is finished."""
        self.done += 1
        left = (time.monotonic() - self.began) / self.done * (self.total - self.done)
        line = f"{self.done} of {self.total}: {submission.person.id or submission.source}: {result.status} ({result.seconds:.0f} s); about {left:.0f} s left"
        print("\r\x1b[K" + line if self.out.isatty() else line, end="" if self.out.isatty() and self.done < self.total else "\n", file=self.out, flush=True)


def name_unknown(submission: Submission, roster: list[Person]) -> Submission:
    """Whoever cannot be told from the file name is who the notebook says, if it says so."""
    if submission.known or submission.fault:
        return submission
    try:
        number = read_notebook(submission.data).student
    except Unreadable:
        number = ""
    if not number or spelling(number) == "0":
        note = "whose it is cannot be told from the file name nor from the notebook; rename it to <id>.ipynb"
        return Submission(Person(""), submission.source, submission.data, submission.files, (*submission.notes, note), known=False)
    person = next((p for p in roster if spelling(p.id) == spelling(number)), Person(number))
    note = f"whose it is was taken from the notebook (student = {number})"
    return Submission(person, submission.source, submission.data, submission.files, (*submission.notes, note), order=submission.order)


def grade_one(submission: Submission, problems: ProblemSet, limits: Limits, stop: threading.Event, folder: Path, fonts: Path | None) -> Result:
    """Grade a submission and keep the result."""
    name = store.key(submission, problems, limits)
    if submission.fault:
        result = unreadable(problems, submission.fault)
    else:
        result = grade(problems, submission.data, submission.person.id, submission.files, limits, stop, fonts)
    store.save(folder, name, result)
    return result


def grade_all(submissions: list[Submission], problems: ProblemSet, limits: Limits, out: Path, workers: int, fresh: bool, quiet: bool = False) -> list[Result]:
    """The result of each submission; what is kept from an earlier run is not graded again."""
    folder, stop = out / "results", threading.Event()
    found = {} if fresh else {i: r for i, s in enumerate(submissions) if (r := store.load(folder, store.key(s, problems, limits)))}
    left = [i for i in range(len(submissions)) if i not in found]
    if found and not quiet:
        print(f"{len(found)} of {len(submissions)} have not changed since they were graded", file=sys.stderr)
    progress, fonts = Progress(len(left)), font_cache(out / ".fonts") if left else None
    with ThreadPoolExecutor(workers) as pool:
        tasks: dict[Future, int] = {pool.submit(grade_one, submissions[i], problems, limits, stop, folder, fonts): i for i in left}
        try:
            waiting = set(tasks)
            while waiting:
                done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                for task in done:
                    found[tasks[task]] = task.result()
                    if not quiet:
                        progress.show(submissions[tasks[task]], found[tasks[task]])
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [found[i] for i in range(len(submissions))]


def absent(roster: list[Person], submissions: list[Submission]) -> list[Person]:
    """Who is on the roster and handed in nothing."""
    there = {spelling(s.person.id) for s in submissions}
    return [person for person in roster if spelling(person.id) not in there]


def manual_points(arguments: argparse.Namespace, problems: ProblemSet) -> tables.Manual:
    """The points that a person gave, if there are any yet."""
    path = arguments.manual or (arguments.submissions / "manual.csv" if arguments.submissions.is_dir() else None)
    return tables.read_manual(path, problems) if path and (arguments.manual or path.exists()) else {}


def marks_of(problems: ProblemSet, roster: list[Person], submissions: list[Submission], results: list[Result], manual: tables.Manual) -> list[tables.Mark]:
    """The marks of all, who handed in nothing included."""
    known = {spelling(person.id) for person in roster}
    made = []
    for submission, result in zip(submissions, results, strict=True):
        notes = submission.notes
        if roster and spelling(submission.person.id) not in known:
            notes += ("not on the roster",)
        made.append(tables.mark(problems, submission.person, submission.source, result, manual, notes))
    made += [tables.mark(problems, person, "", None, manual) for person in absent(roster, submissions)]
    return made


def work(arguments: argparse.Namespace) -> int:
    """The whole command."""
    if arguments.workers < 1:
        raise BadInput(f"--workers must be at least 1; got {arguments.workers}")
    try:
        limits = Limits(arguments.timeout, arguments.cell, arguments.memory, arguments.printed, arguments.written)
    except ValueError as error:
        raise BadInput(str(error)) from error
    roster = read_roster(arguments.roster) if arguments.roster else []
    submissions = [name_unknown(s, roster) for s in collect(arguments.submissions, roster)]
    problems = find_set(arguments, submissions)
    manual = manual_points(arguments, problems)
    out = arguments.out or ROOT / "_build" / "grades" / problems.name
    results = grade_all(submissions, problems, limits, out, arguments.workers, arguments.fresh)
    marks = marks_of(problems, roster, submissions, results, manual)
    tables.write_all(out, problems, marks, manual, arguments.hide_hidden)
    report.write_all(out, problems, marks, arguments.hide_hidden)
    _say(out, marks, tables.unknown_people(manual, marks))
    return 0


def _say(out: Path, marks: list[tables.Mark], strangers: list[str]) -> None:
    counts: dict[str, int] = {}
    for m in marks:
        counts[m.status] = counts.get(m.status, 0) + 1
    print(", ".join(f"{count} {status}" for status, count in sorted(counts.items(), key=lambda item: -item[1])))
    if open_ones := sum(bool(m.open) for m in marks):
        print(f"{open_ones} still have questions for a person to judge (totals are the points so far): "
              f"fill in {out / 'to-judge.csv'}, save it as manual.csv among the submissions, and grade again")
    if strangers:
        print(f"--manual names people who are not here: {', '.join(strangers)}", file=sys.stderr)
    print(f"Tables, reports and summary: {out}")


@contextlib.contextmanager
def _stopping_in_order() -> Iterator[None]:
    """Ctrl+C and a polite kill both stop in good order, in the background too, where a shell switches Ctrl+C off."""
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    kinds = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {kind: signal.signal(kind, stop) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; faults of the input are said in a line."""
    try:
        with _stopping_in_order():
            return work(arguments)
    except BadInput as error:
        print(f"desk grade: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Stopped):
        print("\nstopped; what was finished is kept, the same command goes on from here", file=sys.stderr)
        return 130
