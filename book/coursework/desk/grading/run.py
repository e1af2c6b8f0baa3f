"""Grade one submission: run its cells, run the checks where the notebook has them, survive what it does.

As otter does, a cell that raises does not stop the notebook, a check runs where ``grader.check("q1")`` stands (the last place counts), and what was checked
nowhere is checked at the end.  Beyond otter, a cell that hangs, floods or exhausts the machine is interrupted, and when that does not help the process is ended and
the notebook run again without that cell: it costs what depends on it and nothing else.
"""

from __future__ import annotations

import errno
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import notebook as notebooks
from .archive import ProblemSet, Question
from .identity import spelling
from .limits import Limits
from .notebook import Cell, Notebook, Unreadable
from .process import Lost, Student

STATUSES = ("ok", "wrong number", "wrong set", "too much output", "crashed", "timed out", "out of memory", "tampering found", "unreadable")  # the last that applies
REPLAYS = 6


@dataclass
class Result:
    """What came of one submission: for each question a list of [passed, message] in the order of its checks."""

    status: str = "ok"
    notes: list[str] = field(default_factory=list)
    checks: dict[str, list[list[Any]]] = field(default_factory=dict)
    number: str = ""
    seconds: float = 0.0
    memory: float = 0.0
    answers: dict[str, str] = field(default_factory=dict)

    def note(self, sentence: str, status: str = "ok") -> None:
        """Remember a sentence, and a status if it is worse than the one so far."""
        if sentence not in self.notes and len(self.notes) < 40:
            self.notes.append(sentence)
        self.status = max(self.status, status, key=STATUSES.index)


def points(question: Question, checks: list[list[Any]]) -> float:
    """The points of a question, by otter's rule."""
    passed = [bool(check[0]) for check in checks]
    if (question.all_or_nothing or all(passed)) and len(passed) == len(question.cases):
        return question.points if all(passed) else 0.0
    return round(sum(case.points for case, good in zip(question.cases, passed, strict=False) if good), 6) if not question.all_or_nothing else 0.0


class Grading:
    """The run of one notebook; `finish` gives its result."""

    def __init__(self, problems: ProblemSet, notebook: Notebook, student: str, files: dict[str, bytes], limits: Limits,
                 stop: threading.Event | None = None, fonts: Path | None = None) -> None:
        self.problems, self.notebook, self.student, self.limits, self.fonts = problems, notebook, student, limits, fonts
        self.files = {**files, **problems.files}
        self.stop = stop or threading.Event()
        self.result = Result()
        self.left_out: set[int] = set()                             # cells that are not run again
        self.done: dict[tuple[str, int], list[list[Any]]] = {}      # (question, cell) -> [passed, message] of its checks
        self.given_up: set[str] = set()                             # questions whose answers ended the process
        self.numbers: set[str] = set()
        self.other: dict[str, str] = {}                             # names that the notebook gave another value than they were handed out with

    def finish(self) -> Result:
        """Run it; as often as needed."""
        began = time.monotonic()
        self.end = began + self.limits.timeout
        self._look()
        for _ in range(REPLAYS):
            if self._attempt():
                break
        else:
            self.result.note(f"the notebook ended its process {REPLAYS} times and was given up", "crashed")
        self._collect()
        self.result.seconds = round(time.monotonic() - began, 1)
        return self.result

    # --- before ---

    def _look(self) -> None:
        if self.notebook.assignment not in ("", self.problems.name):
            self.result.note(f"this is the notebook of {self.notebook.assignment}, graded as {self.problems.name}", "wrong set")
        for name in () if self.result.status == "wrong set" else notebooks.edited_checks(self.notebook, self.problems):
            self.result.note(f"the checks of {name} in the notebook were edited (those of the archive were used)", "tampering found")
        for sentence in notebooks.replaced_helpers(self.notebook):
            self.result.note(sentence + " (without effect)", "tampering found")
        for sentence in notebooks.worth_a_look(self.notebook):
            self.result.note("worth a look: " + sentence)

    # --- a run ---

    def _attempt(self) -> bool:
        """One run from the first cell; True if nothing calls for another."""
        start = {"preload": self.problems.preload(), "watch": self.problems.watch(), "helpers": self.problems.helpers, "student": self.student,
                 "given": self.problems.given, "answered": self.problems.answered}
        self.at: Cell | Question | None = None
        student = Student(start, self.files, self.limits, self.end, self.stop, self.fonts)
        try:
            with student:
                self.end = student.end
                for cell in self.notebook.cells:
                    self._cell(student, cell)
                for question in self.problems.checked:
                    if not any(name == question.name and place for name, place in self.done):
                        self._check(student, question, 0)
                self.at = None
                self._last(student)
        except Lost as lost:
            return self._lost(lost)
        finally:
            if hasattr(student, "watch"):
                self.result.memory = max(self.result.memory, round(student.watch.most / 1e6))
        return True

    def _cell(self, student: Student, cell: Cell) -> None:
        if cell.number not in self.left_out and cell.code.strip():
            self.at = cell
            reply = student.ask({"op": "cell", "code": cell.code}, self.limits.cell)
            if stopped := reply["stopped"]:
                self.left_out.add(cell.number)
                self.result.note(f"cell {cell.number}: {stopped[1]}", stopped[0])
            elif reply["error"]:
                status = "too much output" if reply["error"].startswith(f"OSError: [Errno {errno.EFBIG}]") else "ok"
                self.result.note(f"cell {cell.number} raised {reply['error'][:200]}", status)
        for name in cell.checks:
            question = self.problems.questions.get(name)
            if question and question.cases:
                self._check(student, question, cell.number)

    def _check(self, student: Student, question: Question, place: int) -> None:
        """All checks of a question at one place of the notebook; they share the time of one cell."""
        results = self.done.setdefault((question.name, place), [])
        end = time.monotonic() + self.limits.cell
        while len(results) < len(question.cases):
            index = len(results)
            if question.name in self.given_up or time.monotonic() > end:
                results.append([False, "not run: the checks before it used up the time, or ended the process"])
                continue
            self.at = question
            request = {"op": "check", "format": question.format, "code": question.cases[index].code, "source": question.source, "index": index,
                       "student": self.student}
            reply = student.ask(request, max(end - time.monotonic(), 0.1))
            results.append(self._judge(question, index, reply))

    def _judge(self, question: Question, index: int, reply: dict[str, Any]) -> list[Any]:
        self._seen(reply)
        if reply["other"]:
            self.other[question.name] = ", ".join(reply["other"])
        if reply["deceits"]:
            names = ", ".join(reply["deceits"])
            self.result.note(f"{question.name}: {names} is an imitation made for the checks", "tampering found")
        if stopped := reply["stopped"]:
            self.result.note(f"{question.name}: a check {stopped[1].removeprefix('it ')}", stopped[0])
            return [False, f"stopped: {stopped[1]}"]
        return [bool(reply["passed"]), str(reply["message"])]

    def _seen(self, reply: dict[str, Any]) -> None:
        self.numbers.add(reply["number"])
        if reply["changed"]:
            names = ", ".join(reply["changed"][:5])
            self.result.note(f"replaced what the checks rely on ({names}); the originals were put back", "tampering found")

    def _last(self, student: Student) -> None:
        reply = student.ask({"op": "number"}, self.limits.cell)
        if "number" in reply:
            self._seen(reply)

    # --- after ---

    def _lost(self, lost: Lost) -> bool:
        """Note what ended the process; True if running again makes no sense."""
        if isinstance(self.at, Cell):
            self.result.note(f"cell {self.at.number}: {lost.reason}", lost.status)
            self.left_out.add(self.at.number)
        elif self.at is not None:
            self.result.note(f"{self.at.name}: its answer did this to the checks: {lost.reason}", lost.status)
            self.given_up.add(self.at.name)
            last = next(reversed([key for key in self.done if key[0] == self.at.name]))
            self.done[last].append([False, lost.reason])
        else:
            self.result.note(lost.reason, lost.status)
            return True
        return time.monotonic() > self.end

    def _collect(self) -> None:
        """The checks at the last place of each question; what was never reached is not passed."""
        for question in self.problems.checked:
            places = [place for name, place in self.done if name == question.name]
            checks = self.done[question.name, places[-1]] if places else []
            missing = [[False, "not reached: the notebook was stopped before"]] * (len(question.cases) - len(checks))
            self.result.checks[question.name] = checks + missing
        self.numbers.discard("")
        self.result.number = ", ".join(sorted(self.numbers)) or spelling(self.notebook.student)
        if self.student and self.result.number != spelling(self.student):
            given = {"": "no student number", "0": "student = 0, the sample's number,"}.get(self.result.number, f"student = {self.result.number}")
            self.result.note(f"the notebook has {given} instead of {self.student}; checks with data of one's own used {self.student}", "wrong number")
            return
        for name, names in self.other.items():
            self.result.note(f"{name}: the notebook gives {names} another value than it was handed out with; the checks used the original")


def unreadable(problems: ProblemSet, reason: str) -> Result:
    """The result of a file that is no notebook."""
    result = Result(checks={q.name: [[False, "not run: " + reason] for _ in q.cases] for q in problems.checked})
    result.note(reason, "unreadable")
    return result


def grade(problems: ProblemSet, data: bytes, student: str, files: dict[str, bytes], limits: Limits, stop: threading.Event | None = None,
          fonts: Path | None = None) -> Result:
    """Grade one file; `student` is the number it is filed under."""
    try:
        notebook = notebooks.read(data)
    except Unreadable as error:
        return unreadable(problems, str(error))
    result = Grading(problems, notebook, student, files, limits, stop, fonts).finish()
    result.answers = notebooks.written_answers(notebook, problems)
    return result
