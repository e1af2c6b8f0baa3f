"""What the chapters teach and how long they take, for the teacher's pages: nothing is written down twice.

Goals, prerequisites and reading times come from each chapter's box *In this chapter*, running times from its execution.
``{goals} part1`` lists them, with the questions that practise each goal; ``{syllabus}`` makes a table of weeks::

    - read: [part1/layer-maps, part1/cones-and-matrices]
      set: part1
"""
from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import book_questions
from book_kit import clock, hours, link, moved, numbered, parts, register, table, text
from docutils import nodes
from sphinx.errors import ExtensionError

BOX = "In this chapter"
HEADS = ("You will", "Prerequisites", "Reading", "Running", "Time")


@dataclass(frozen=True)
class Lesson:
    """A chapter as a teacher sees it; goals and prerequisites are lists of nodes."""

    page: str
    goals: tuple[list[nodes.Node], ...]
    needs: list[nodes.Node]
    reading: int                               # minutes
    running: float | None                      # seconds, measured


# --- reading the boxes

def head(node) -> str:
    """The word in bold or italics with which a piece of the box begins, or nothing."""
    word = node.astext().strip(" :") if isinstance(node, (nodes.strong, nodes.emphasis)) else ""
    return word if word in HEADS else ""


def trimmed(found: list[nodes.Node]) -> list[nodes.Node]:
    """The nodes without the punctuation around them."""
    out = [n.deepcopy() for n in found]
    if out and isinstance(out[0], nodes.Text):
        out[0] = nodes.Text(re.sub(r"^[\s:;]*(and )?", "", out[0].astext()))
    if out and isinstance(out[-1], nodes.Text):
        out[-1] = nodes.Text(out[-1].astext().rstrip(" .;\n"))
    return [n for n in out if n.astext()]


def sentence(found: list[nodes.Node]) -> list[list[nodes.Node]]:
    """One sentence, *a; b; and c*, as its pieces."""
    pieces: list[list[nodes.Node]] = [[]]
    for node in found:
        words = str(node).split(";") if isinstance(node, nodes.Text) else [node]
        for k, word in enumerate(words):
            if k:
                pieces.append([])
            pieces[-1].append(nodes.Text(word) if isinstance(word, str) else word)
    return [trimmed(piece) for piece in pieces]


def box(doctree) -> nodes.Node | None:
    return next((n for n in doctree.findall(nodes.admonition) if n.children[0].astext() == BOX), None)


def lesson(page: str, doctree, running: float | None = None) -> Lesson:
    """The chapter's goals, prerequisites and times; an error if its box lacks one of them."""
    found = box(doctree)
    fields: dict[str, list[nodes.Node]] = {}
    goals: list[list[nodes.Node]] = []
    for paragraph in found.children[1:] if found is not None else ():
        if isinstance(paragraph, nodes.bullet_list):
            goals += [trimmed(item.children[0].children) for item in paragraph.children]
            continue
        key = ""
        for node in paragraph.children:
            if head(node):
                key = head(node)
            elif key:
                fields.setdefault(key, []).append(node)
    goals = goals or sentence(fields.get("You will", []))
    minutes = re.search(r"(\d+) minutes", "".join(n.astext() for n in (*fields.get("Reading", ()), *fields.get("Time", ()))))
    if not goals or not minutes or "Prerequisites" not in fields:
        raise ExtensionError(f"{page}: the box '{BOX}' must name goals, prerequisites and the minutes of reading")
    return Lesson(page, tuple(goals), trimmed(fields["Prerequisites"]), int(minutes[1]), running)


@functools.lru_cache(maxsize=1)
def lessons(env) -> dict[str, Lesson]:
    """All chapters of this build, in the order of the book."""
    measured = {page: (data.get("exec_data") or {}).get("runtime") for page, data in getattr(env, "nb_metadata", {}).items()}
    return {page: lesson(page, env.get_doctree(page), measured.get(page))
            for part in parts() for page in part.pages if page in env.all_docs}


def goal_list(app, here: str, part: str) -> list[nodes.Node]:
    """The chapters of a part: goals, with the questions that ask for each, prerequisites and times."""
    asked: dict[str, list] = {}
    for question in book_questions.questions():
        for goal in question.goals:
            asked.setdefault(goal, []).append(question)
    out: list[nodes.Node] = []
    for page, found in lessons(app.env).items():
        if page.split("/")[1] != part:
            continue
        out.append(text(nodes.strong("", "", link(app, here, page, nodes.Text(numbered(app.env, page)))), classes=["ledger-chapter"]))
        out.append(text(f"Reading {hours(found.reading)}, running {clock(found.running)} (measured). Needs: ",
                        *moved(found.needs, page, here), "."))
        listed = nodes.enumerated_list(enumtype="arabic", prefix="", suffix=".")
        for k, goal in enumerate(found.goals, start=1):
            name = f"{page.removeprefix('book/')} {k}"
            item = text(*moved(goal, page, here))
            item["ids"] = [nodes.make_id(f"goal {name}")]
            for j, question in enumerate(asked.get(name, ())):
                item += nodes.Text(" — asked in " if not j else ", ")
                item += link(app, here, book_questions.PAGE, nodes.Text(question.short), anchor=question.anchor)
            listed += nodes.list_item("", item)
        out.append(listed)
    return out


def syllabus(app, here: str, weeks: list[dict]) -> list[nodes.Node]:
    """Week, chapters, times, what is handed in; and the sums."""
    known, rows, total, ran = lessons(app.env), [], 0, 0.0
    for number, week in enumerate(weeks, start=1):
        pages = [f"book/{name}" for name in week.get("read", ())]
        if unknown := [p for p in pages if p not in known]:
            raise ExtensionError(f"{here}: week {number} names chapters that the book does not have: {', '.join(unknown)}")
        minutes, seconds = sum(known[p].reading for p in pages), sum(known[p].running or 0 for p in pages)
        total, ran = total + minutes, ran + seconds
        chapters = [text(link(app, here, p, nodes.Text(numbered(app.env, p)))) for p in pages]
        due = [*book_questions.due(week.get("set")), *([text(week["also"])] if "also" in week else [])]
        rows.append([str(number), chapters or text("—"), hours(minutes) if pages else "—", clock(seconds) if pages else "—", due or text("—")])
    rows.append(["all", "", hours(total), clock(ran), book_questions.due_in_all([w.get("set") for w in weeks])])
    return [table(["Week", "Read", "Reading", "Running", "Hand in"], rows, [8, 42, 14, 11, 25])]


def setup(app):
    register(app, "goals", goal_list)
    register(app, "syllabus", syllabus)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
