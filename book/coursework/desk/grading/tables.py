"""Marks as tables: the full one, the ones that learning platforms import, and the points that a person gives."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from .archive import BadInput, ProblemSet
from .identity import Person, read_table, spelling
from .run import Result, points
from .store import write_text


@dataclass(frozen=True)
class Judged:
    """What a person gave for one question."""

    points: float
    comment: str = ""


@dataclass(frozen=True)
class Mark:
    """All that is known about one person's submission."""

    person: Person
    source: str
    result: Result | None                           # None: nothing was handed in
    points: dict[str, float | None]                 # None: a person still has to judge
    comments: dict[str, str]
    maximum: float
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """One of the statuses of `run`, or "nothing handed in"."""
        return self.result.status if self.result else "nothing handed in"

    @property
    def total(self) -> float | None:
        """The points so far; None where nothing was handed in and nothing was given by a person."""
        given = [value for value in self.points.values() if value is not None]
        return round(sum(given), 6) if self.result or given else None

    @property
    def open(self) -> list[str]:
        """The questions that a person still has to judge."""
        return [name for name, value in self.points.items() if value is None] if self.readable else []

    @property
    def readable(self) -> bool:
        """Whether there is something to judge."""
        return self.result is not None and self.status != "unreadable"

    @property
    def label(self) -> str:
        """A name to read."""
        return self.person.name or self.person.id or self.source


Manual = dict[tuple[str, str], Judged]


def mark(problems: ProblemSet, person: Person, source: str, result: Result | None, manual: Manual, notes: tuple[str, ...] = ()) -> Mark:
    """The marks of one person: checks, and what a person gave."""
    given: dict[str, float | None] = {}
    comments: dict[str, str] = {}
    for name, question in problems.questions.items():
        judged = manual.get((spelling(person.id), name)) if person.id else None
        given[name] = judged.points if judged else points(question, result.checks.get(name, [])) if result and not question.manual else None
        if judged and judged.comment:
            comments[name] = judged.comment
    return Mark(person, source, result, given, comments, problems.points, (*notes, *(result.notes if result else ())))


# --- points that a person gives --------------------------------------------------------------------


def read_manual(path: Path, problems: ProblemSet) -> Manual:
    """The table id, question, points, comment; lines without points are still to be judged."""
    header, rows = read_table(path, "--manual")
    if missing := [name for name in ("id", "question", "points") if name not in header]:
        raise BadInput(f"--manual: {path} has no column {', '.join(missing)}; its first line reads id,question,points,comment")
    manual: Manual = {}
    for line, row in enumerate(rows, start=2):
        question = problems.questions.get(row["question"])
        if question is None:
            raise BadInput(f"--manual: {path}, line {line}: {problems.name} has no question {row['question']!r}; it has {', '.join(problems.questions)}")
        if not row["points"].strip():
            continue
        manual[spelling(row["id"]), question.name] = Judged(_number(row["points"], question.points, f"--manual: {path}, line {line}"), row.get("comment", ""))
    return manual


def _number(text: str, maximum: float, where: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        raise BadInput(f"{where}: points must be a number; got {text!r}") from None
    if not 0 <= value <= maximum:
        raise BadInput(f"{where}: points must lie between 0 and {maximum:g}; got {text}")
    return value


def unknown_people(manual: Manual, marks: list[Mark]) -> list[str]:
    """The ids of the table of manual points that nobody bears."""
    known = {spelling(m.person.id) for m in marks}
    return sorted({number for number, _ in manual if number not in known})


def to_judge(problems: ProblemSet, marks: list[Mark], manual: Manual) -> str:
    """The table that a person fills in: what is given already, and a line for everything that is still open."""
    rows = [["id", "question", "points", "comment"]]
    for m in marks:
        for name, question in problems.questions.items():
            judged = manual.get((spelling(m.person.id), name))
            if m.person.id and (judged or (question.manual and m.readable)):
                rows.append([m.person.id, name, number(judged.points) if judged else "", judged.comment if judged else ""])
    return table(rows)


# --- tables ----------------------------------------------------------------------------------------


def number(value: float | None) -> str:
    """Points without needless zeros; nothing for what is open."""
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def table(rows: list[list[str]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([[safe(str(cell)) for cell in row] for row in rows])
    return out.getvalue()


def grades(problems: ProblemSet, marks: list[Mark]) -> str:
    """Everything: id, name, points of each question, total, maximum, status."""
    names = list(problems.questions)
    rows = [["id", "name", *names, "total", "max", "status", "to judge", "notes", "file"]]
    for m in marks:
        given = [number(m.points[name]) for name in names]
        rows.append([m.person.id, m.person.name, *given, number(m.total), number(m.maximum), m.status, " ".join(m.open), "; ".join(m.notes), m.source])
    return table(rows)


def canvas(problems: ProblemSet, marks: list[Mark]) -> str:
    """A gradebook that Canvas imports; whoever handed in nothing stays ungraded."""
    rows = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", problems.title], ["    Points Possible", "", "", "", "", number(problems.points)]]
    for m in marks:
        person = m.person
        own = "" if person.canvas == person.id else person.id
        rows.append([person.name, person.canvas, own, person.login, person.section, number(m.total)])
    return table(rows)


def moodle(problems: ProblemSet, marks: list[Mark], hide_hidden: bool = False) -> str:
    """Grades for Moodle's import from CSV, matched by ID number or email."""
    rows = [["ID number", "Email address", problems.title, "Feedback"]]
    rows += [[m.person.id, m.person.email, number(m.total), feedback(problems, m, hide_hidden)] for m in marks]
    return table(rows)


def feedback(problems: ProblemSet, m: Mark, hide_hidden: bool = False) -> str:
    """A few sentences for the student: the points of each question, and the first check that did not pass."""
    if m.result is None:
        return "Nothing was handed in."
    parts = []
    for name, question in problems.questions.items():
        value = m.points[name]
        text = f"{question.title}: {'still to be judged' if value is None else f'{number(value)} of {number(question.points)}'}."
        checks = zip(question.cases, m.result.checks.get(name, []), strict=False)
        failed = ["A hidden check did not pass." if case.hidden and hide_hidden else message[:300] for case, (passed, message) in checks if not passed]
        parts.append(" ".join(filter(None, (text, *failed[:1], m.comments.get(name, "")))))
    head = "" if m.status == "ok" else f"Status: {m.status}. "
    return head + " ".join(parts)


def write_all(folder: Path, problems: ProblemSet, marks: list[Mark], manual: Manual, hide_hidden: bool = False) -> None:
    """All tables of a class."""
    write_text(folder / "grades.csv", grades(problems, marks))
    write_text(folder / "canvas.csv", canvas(problems, marks))
    write_text(folder / "moodle.csv", moodle(problems, marks, hide_hidden))
    if problems.manual:
        write_text(folder / "to-judge.csv", to_judge(problems, marks, manual))
