"""Reports to read: one page for each student, a summary of the class, and the written answers for the person who judges."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from .archive import Case, ProblemSet, Question
from .run import STATUSES
from .store import write_text
from .tables import Mark, number

STYLE = """
:root { color-scheme: light dark; --good: #1a7f37; --bad: #b42318; --open: #8a5a00; --line: #8885; --tint: #8881; }
@media (prefers-color-scheme: dark) { :root { --good: #57c774; --bad: #ff8f85; --open: #e0b04c; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .3rem; border-top: 1px solid var(--line); padding-top: .8rem; }
.total { font-size: 1.3rem; }
ul { padding-left: 0; list-style: none; } li { margin: .35rem 0; padding-left: 1.6rem; text-indent: -1.6rem; }
.good::before { content: "✓  "; color: var(--good); } .bad::before { content: "✗  "; color: var(--bad); } .open { color: var(--open); }
.said { display: block; text-indent: 0; overflow-wrap: anywhere; } .note { background: var(--tint); padding: .6rem 1rem; border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--tint); padding: .6rem 1rem; }
.scroll { overflow-x: auto; }
"""

WORDS = {
    "ok": "",
    "wrong number": "The student number in the notebook is not the one it is filed under. Questions with data of your own were checked with the filed number.",
    "wrong set": "This is the notebook of another problem set. It was graded with the checks of the set that was asked for.",
    "too much output": "A cell printed or wrote too much and was stopped. The rest of the notebook was graded.",
    "crashed": "The notebook ended its own process. What did so was left out, and the rest was graded.",
    "timed out": "A cell or check took too long and was stopped. The rest was graded as far as the time allowed.",
    "out of memory": "A cell or check needed too much memory and was left out. The rest was graded.",
    "tampering found": "Something in the notebook interferes with the checks. It was undone; the marks come from the original checks. A person will look at it.",
    "unreadable": "The file could not be read as a notebook, so nothing could be checked.",
    "nothing handed in": "Nothing was handed in.",
}


def page(title: str, body: str) -> str:
    """A page that needs nothing else."""
    return (f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n")


def file_name(mark: Mark) -> str:
    """The name of a student's report."""
    return re.sub(r"[^\w.-]+", "_", mark.person.id or Path(mark.source).stem or "unknown").strip(".") + ".html"


# --- one student -----------------------------------------------------------------------------------


def student_page(problems: ProblemSet, mark: Mark, hide_hidden: bool = False) -> str:
    """What one student reads."""
    who = " · ".join(filter(None, (mark.person.name, mark.person.id)))
    parts = [f"<h1>{escape(problems.title)}</h1>", f"<p>{escape(who or mark.source)}</p>",
             f'<p class="total"><strong>{number(mark.total) or "no points"}</strong> of {number(mark.maximum)} points{_so_far(mark)}</p>']
    if WORDS[mark.status]:
        parts.append(f'<p class="note"><strong>{escape(mark.status.capitalize())}.</strong> {escape(WORDS[mark.status])}</p>')
    parts += [_question(question, mark, hide_hidden) for question in problems.questions.values()]
    if notes := [note for note in mark.notes if not note.startswith("worth a look")]:
        parts.append("<h2>Notes</h2>\n<ul>" + "".join(f"<li>· {escape(note)}</li>" for note in notes) + "</ul>")
    return page(f"{problems.title}: {who}", "\n".join(parts))


def _so_far(mark: Mark) -> str:
    return f' <span class="open">so far; a person still judges {escape(", ".join(mark.open))}</span>' if mark.open else ""


def _question(question: Question, mark: Mark, hide_hidden: bool) -> str:
    value = mark.points[question.name]
    came = f"{number(value)} of {number(question.points)}"
    if value is None:
        came = f'<span class="open">to be judged by a person, {number(question.points)} points</span>' if mark.readable else f"0 of {number(question.points)}"
    lines = [f"<h2>{escape(question.title)}</h2>", f"<p>{came}</p>"]
    checks = mark.result.checks.get(question.name, []) if mark.result else []
    if checks:
        lines.append("<ul>" + "".join(_check(case, check, hide_hidden) for case, check in zip(question.cases, checks, strict=False)) + "</ul>")
    if comment := mark.comments.get(question.name):
        lines.append(f'<p class="note">{escape(comment)}</p>')
    return "\n".join(lines)


def _check(case: Case, check: list, hide_hidden: bool) -> str:
    passed, message = check
    title = case.title if not (case.hidden and hide_hidden) else "a check that is not shown"
    said = "" if passed or not message or (case.hidden and hide_hidden) else f'<span class="said">{escape(message)}</span>'
    return f'<li class="{"good" if passed else "bad"}">{escape(title)} ({"passed" if passed else "not passed"}){said}</li>'


# --- the class -------------------------------------------------------------------------------------


def _table(head: list[str], rows: list[list[str]], numeric: int = 1) -> str:
    """A table; cells are HTML, the first columns text and the others numbers."""
    cells = lambda row, tag: "".join(f'<{tag}{" class=n" if i >= numeric else ""}>{cell}</{tag}>' for i, cell in enumerate(row))
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{cells(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def failures(problems: ProblemSet, marks: list[Mark]) -> list[tuple[int, int, Question, Case]]:
    """How often each check failed, of how many, the worst first."""
    found = []
    for question in problems.checked:
        for index, case in enumerate(question.cases):
            came = [m.result.checks[question.name][index][0] for m in marks if m.result and len(m.result.checks.get(question.name, [])) > index]
            found.append((came.count(False), len(came), question, case))
    return sorted(found, key=lambda f: -f[0])


def _per_question(problems: ProblemSet, marks: list[Mark]) -> list[list[str]]:
    rows = []
    for question in problems.questions.values():
        values = [v for m in marks if (v := m.points[question.name]) is not None]
        full, none = sum(v >= question.points - 1e-9 for v in values), sum(v == 0 for v in values)
        mean = number(round(sum(values) / len(values), 2)) if values else ""
        waiting = sum(question.name in m.open for m in marks)
        rows.append([escape(question.title), number(question.points), mean, str(full), str(len(values) - full - none), str(none), str(waiting)])
    return rows


def summary_page(problems: ProblemSet, marks: list[Mark]) -> str:
    """What the teacher reads first."""
    graded = [m for m in marks if m.result]
    totals = sorted(m.total or 0 for m in graded)
    middle = number((totals[(len(totals) - 1) // 2] + totals[len(totals) // 2]) / 2) if totals else ""
    counts = {status: sum(m.status == status for m in marks) for status in (*STATUSES, "nothing handed in")}
    waiting = ", questions still to judge not counted" if any(m.open for m in marks) else ""
    parts = [f"<h1>{escape(problems.title)}: the class</h1>",
             f"<p>{len(graded)} handed in; median {middle or '–'} of {number(problems.points)} points{waiting}.</p>",
             "<h2>Status</h2>", _table(["status", "students"], [[s, str(n)] for s, n in counts.items() if n]),
             "<h2>Questions</h2>", _table(["question", "points", "mean", "full", "part", "none", "to judge"], _per_question(problems, marks)),
             "<h2>Checks that fail most</h2>", _table(["check", "failed", "of"], [_failure(*found) for found in failures(problems, marks)[:15] if found[0]]),
             "<h2>Students</h2>", _table(["student", "status and notes", "total"], [_line(m) for m in marks], numeric=2)]
    return page(f"{problems.title}: the class", "\n".join(parts))


def _failure(failed: int, of: int, question: Question, case: Case) -> list[str]:
    return [f"{escape(question.title)}: {escape(case.title)}{' (hidden)' if case.hidden else ''}", str(failed), str(of)]


def _line(mark: Mark) -> list[str]:
    link = f'<a href="reports/{escape(file_name(mark))}">{escape(mark.label)}</a>'
    notes = "".join(f"<br><small>{escape(note)}</small>" for note in mark.notes)
    return [link, f"{escape(mark.status)}{notes}", number(mark.total)]


def judging_page(problems: ProblemSet, marks: list[Mark]) -> str:
    """The written answers, question by question, with what to judge them by."""
    parts = [f"<h1>{escape(problems.title)}: to judge</h1>",
             "<p>Enter the points in <code>to-judge.csv</code>, save it as <code>manual.csv</code> among the submissions, and grade again.</p>"]
    for question in problems.manual:
        parts.append(f"<h2>{escape(question.title)} ({number(question.points)} points)</h2>")
        if question.rubric:
            parts.append(f"<details><summary>Rubric and samples</summary><pre>{escape(question.rubric)}</pre></details>")
        for m in marks:
            if m.readable:
                answer = m.result.answers.get(question.name, "")
                given = "" if m.points[question.name] is None else f" ({number(m.points[question.name])} points given)"
                parts.append(f"<h3>{escape(m.label)}{given}</h3>" + (f"<pre>{escape(answer)}</pre>" if answer else "<p>No answer was found.</p>"))
    return page(f"{problems.title}: to judge", "\n".join(parts))


def write_all(folder: Path, problems: ProblemSet, marks: list[Mark], hide_hidden: bool = False) -> None:
    """All reports of a class; those of earlier runs that belong to nobody are removed."""
    wanted = set()
    for mark in marks:
        wanted.add(file_name(mark))
        write_text(folder / "reports" / file_name(mark), student_page(problems, mark, hide_hidden))
    for path in (folder / "reports").glob("*.html"):
        if path.name not in wanted:
            path.unlink()
    write_text(folder / "summary.html", summary_page(problems, marks))
    if problems.manual:
        write_text(folder / "to-judge.html", judging_page(problems, marks))
