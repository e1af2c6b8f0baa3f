"""Every question of the problem sets, with the goals and statements that it is about, for the teacher's pages.

Titles and points come from the masters in ``book/coursework/``; ``book/teaching/questions.yml`` names goals (a chapter
and the number of a goal in its box) and labels of statements.  A test holds that file against the masters and the book.
"""
from __future__ import annotations

import functools
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from book_address import BRANCH
from book_kit import link, numbered, register, table, text
from docutils import nodes
from sphinx.util.nodes import make_refnode

ROOT = Path(__file__).resolve().parents[2]
COURSEWORK, MAP = ROOT / "book" / "coursework", ROOT / "book" / "teaching" / "questions.yml"
PAGE, GOALS = "book/teaching/questions", "book/teaching/goals"
ROMAN = dict(zip("123456", ("I", "II", "III", "IV", "V", "VI"), strict=True))


@dataclass(frozen=True)
class Question:
    """One question: where it stands, what it is worth, and what it is about."""

    set: str                                   # such as open-part1
    name: str                                  # such as q3
    title: str
    grade: str                                 # what the title says in brackets, such as warm-up
    points: float
    manual: bool
    goals: tuple[str, ...]                     # such as "part1/layer-maps 2"
    statements: tuple[str, ...]                # such as thm-birkhoff

    @property
    def short(self) -> str:
        """Such as *open I.3*."""
        return f"{place(self.set)}.{self.name.lstrip('q')}"

    @property
    def anchor(self) -> str:
        return nodes.make_id(f"{self.set} {self.name}")


def place(name: str) -> str:
    """Such as *open I* for ``open-part1``, *project* for ``open-project``."""
    kind, _, rest = name.partition("-")
    return f"{kind} {ROMAN.get(rest.removeprefix('part'), rest)}" if rest.startswith("part") else rest or kind


@functools.cache
def masters() -> tuple:
    """The public masters, read as the desk reads them."""
    if str(COURSEWORK) not in sys.path:
        sys.path.insert(0, str(COURSEWORK))
    from desk.masters import read
    return tuple(read(path) for kind in ("open", "graded") for path in sorted((COURSEWORK / kind).glob("*.md"), key=order))


def order(path: Path) -> tuple[bool, str]:
    return (not path.stem.startswith("part"), path.stem)                # the project comes last


def mapped() -> dict[str, dict[str, dict]]:
    return yaml.safe_load(MAP.read_text(encoding="utf8")) if MAP.is_file() else {}


@functools.cache
def questions() -> tuple[Question, ...]:
    about, out = mapped(), []
    for master in masters():
        for question in master.questions.values():
            entry = (about.get(master.name) or {}).get(question.name) or {}
            title, grade = re.fullmatch(r"(?:\d+\.\s*)?(.*?)\s*(?:\(([^()]*)\))?", question.title).groups()
            out.append(Question(master.name, question.name, title, grade or "", question.points, question.manual,
                                tuple(entry.get("goals", ())), tuple(entry.get("statements", ()))))
    return tuple(out)


def points(value: float) -> str:
    return f"{value:g} point" + ("" if value == 1 else "s")


def due(sets) -> list[nodes.Node]:
    """What is handed in: the sets of these keys, with their points."""
    out = []
    for key in [sets] if isinstance(sets, str) else sets or ():
        found = [m for m in masters() if m.name.partition("-")[2] == key]
        if found:
            worth = ", ".join(f"{m.name.partition('-')[0]} {m.points:g}" for m in found)
            name = "final project" if key == "project" else f"problem set {ROMAN.get(key.removeprefix('part'), key)}"
            out.append(text(f"{name} ({worth} points)"))
    return out


def due_in_all(sets: list) -> str:
    keys = {k for s in sets for k in ([s] if isinstance(s, str) else s or ())}
    kinds = {kind: sum(m.points for m in masters() if m.name.startswith(kind) and m.name.partition("-")[2] in keys) for kind in ("open", "graded")}
    return ", ".join(f"{kind} {worth:g}" for kind, worth in kinds.items() if worth) + " points" if any(kinds.values()) else "—"


def statement(app, here: str, label: str) -> nodes.Node:
    """A link to a labelled statement, such as *Theorem 3.1*."""
    item = getattr(app.env, "proof_list", {}).get(label)
    if item is None:
        return nodes.literal("", label)
    number = app.env.toc_fignumbers.get(item["docname"], {}).get(item["countertype"], {}).get(label, ())
    name = f"{item['realtype'].title()} {'.'.join(map(str, number))}".strip()
    return make_refnode(app.builder, here, item["docname"], label, nodes.Text(name))


def spread(items: list[nodes.Node]) -> nodes.paragraph:
    """Nodes with commas between them."""
    out = [part for item in items for part in (nodes.Text(", "), item)][1:]
    return text(*(out or ["—"]))


def row(app, here: str, question: Question) -> list:
    anchor = nodes.target("", "", ids=[question.anchor])
    chapters = []
    for page in dict.fromkeys(f"book/{goal.rpartition(' ')[0]}" for goal in question.goals):
        number = numbered(app.env, page).partition(".")[0]
        asked = [g for g in question.goals if f"book/{g.rpartition(' ')[0]}" == page]         # the goals page makes its ids in the same way
        goals = [link(app, here, GOALS, nodes.Text(f"goal {g.rpartition(' ')[2]}"), anchor=nodes.make_id(f"goal {g}")) for g in asked]
        chapters.append(text(link(app, here, page, nodes.Text(f"Chapter {number}")), ": ", *spread(goals).children))
    judged = "a person" if question.manual else "checks"
    return [text(anchor, question.name.lstrip("q")), question.title, f"{question.points:g}",
            f"{judged}; {question.grade}" if question.grade and question.grade != "read by a person" else judged,
            chapters or "—", spread([statement(app, here, label) for label in question.statements])]


def listing(app, here: str, kind: str) -> list[nodes.Node]:
    """The sets of one kind (open or graded): a table for each."""
    out: list[nodes.Node] = []
    for master in (m for m in masters() if m.name.startswith(kind)):
        rows = [row(app, here, q) for q in questions() if q.set == master.name]
        file = f"book/coursework/{kind}/{master.name.partition('-')[2]}.md"
        source = nodes.reference("", "", nodes.Text("source"), refuri=f"{app.config.book_repository}/blob/{BRANCH}/{file}")
        out.append(text(nodes.strong("", master.title), f" ({len(rows)} questions, {points(master.points)}; ", source, ")", classes=["ledger-chapter"]))
        out.append(table(["No.", "Question", "Points", "Judged by", "Chapter and goal", "Statements"], rows, [5, 25, 8, 14, 30, 18]))
    return out or [text("No set of this kind is part of this copy of the book.")]


def setup(app):
    register(app, "questions", listing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
