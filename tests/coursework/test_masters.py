"""All problem sets: they keep the format, and they grade as they should."""

from __future__ import annotations

import ast
import functools
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from desk import masters
from desk.masters import Cell, Master

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "book" / "coursework"
MASTERS = sorted([*HOME.glob("open/*.md"), *HOME.glob("graded/*.md")])
ANSWERS = sorted((Path(__file__).parent / "wrong").glob("*.py"))
read = functools.cache(masters.read)
each_master = pytest.mark.parametrize("path", MASTERS, ids=lambda path: f"{path.parent.name}-{path.stem}")


@functools.cache
def answers(kind: str) -> dict[str, dict[str, Any]]:
    """WRONG or RIGHT of all files of answers, by set and question."""
    found: dict[str, dict[str, Any]] = {}
    for path in ANSWERS:
        for name, questions in runpy.run_path(str(path)).get(kind, {}).items():
            assert name not in found, f"{path.name}: {name} stands in another file too"
            found[name] = questions
    return found


def is_graded(master: Master) -> bool:
    return master.name.startswith("graded-")


def statements_of(code: str) -> list[ast.stmt]:
    return ast.parse(code).body


# --- the format ------------------------------------------------------------------------------------


def test_there_is_a_set_for_each_part_and_a_project() -> None:
    names = [read(path).name for path in MASTERS]
    assert len(names) == len(set(names))
    wanted = {f"{kind}-part{k}" for kind in ("open", "graded") for k in range(1, 7)} | {"open-project"}
    assert wanted == set(names)


@each_master
def test_a_master_has_the_name_of_its_file(path: Path) -> None:
    assert read(path).name == f"{path.parent.name}-{path.stem}"


@each_master
def test_a_set_has_five_to_eight_questions_and_one_for_a_person(path: Path) -> None:
    master = read(path)
    questions = list(master.questions.values())
    assert 5 <= len(questions) <= 8
    assert any(question.manual for question in questions)
    assert [question.name for question in questions] == [f"q{k}" for k in range(1, len(questions) + 1)]
    assert all(re.match(r"### \d", question.prompt) for question in questions), "a question begins with a heading, ### 1. Title"


@each_master
def test_questions_for_a_person_have_a_rubric(path: Path) -> None:
    master = read(path)
    for question in master.questions.values():
        if question.manual:
            text = question.prompt if is_graded(master) else question.notes
            assert re.search(r"^\|\s*points\s*\|", text, re.MULTILINE | re.IGNORECASE), f"{question.name}: a table of points and criteria"
            samples = len(re.findall(r"sample answer", text, re.IGNORECASE))
            assert not samples if is_graded(master) else samples, f"{question.name}: sample answers belong to the open sets, and only there"


def test_graded_masters_hold_no_solution_and_no_hidden_check() -> None:
    for master in filter(is_graded, map(read, MASTERS)):
        no_secrets(master)


def no_secrets(master: Master) -> None:
    for question in master.questions.values():
        assert not any(test.hidden for test in question.tests), f"{question.name}: a hidden check in the public repository"
        assert all("SOLUTION" not in code for code in question.solution), f"{question.name}: a marked solution"
        assert all(only_stubs(code) for code in question.solution), f"{question.name}: more than a stub"
        assert len(question.notes) < 80, f"{question.name}: notes to the solution"


def only_stubs(code: str) -> bool:
    """Whether a cell only assigns ... to names, and defines functions and classes whose bodies are ... ."""
    def is_stub(node: ast.stmt) -> bool:
        value = getattr(node, "value", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Expr)):
            values = value.elts if isinstance(value, ast.Tuple) else [value]
            return all(isinstance(v, ast.Constant) and (v.value is ... or isinstance(node, ast.Expr)) for v in values)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            return all(map(is_stub, node.body))
        return isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass))

    return all(map(is_stub, statements_of(code)))


@each_master
def test_checks_hold_no_bare_expression(path: Path) -> None:
    for question in read(path).questions.values():
        for test in question.tests:
            bare = [node for node in statements_of(test.code) if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call)]
            assert not bare, f"{question.name}, {test.title}: {ast.unparse(bare[0])}"


@each_master
def test_links_lead_to_pages_of_the_book(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(book:([^)#\s]+)", text)
    assert targets, "a set links to the chapters it belongs to"
    for target in targets:
        page = ROOT / "book" / target.removesuffix(".html")
        assert page.with_suffix(".md").is_file() or page.with_suffix(".ipynb").is_file(), f"{target} is no page of the book"
    assert not re.search(r"\{(?:doc|ref|numref|eq|prf:ref|cite)\}", text), "a set is read outside the book: use [title](book:...)"


@each_master
def test_answers_differ_between_students(path: Path) -> None:
    code = "\n".join(c.source for part in read(path).parts for c in ([part] if isinstance(part, Cell) else part.cells) if c.kind == "code")
    assert re.search(r"cw\.(generator|pick|number)\(student", code), "no question draws its data from the student number"


# --- the grading -----------------------------------------------------------------------------------


def test_files_of_answers_name_sets_and_questions_that_exist() -> None:
    sets = {read(path).name: read(path) for path in MASTERS}
    for kind in ("WRONG", "RIGHT"):
        for name, questions in answers(kind).items():
            assert name in sets, f"{kind}: there is no set {name}"
            assert set(questions) <= set(sets[name].questions), f"{kind}, {name}: {sorted(set(questions) - set(sets[name].questions))}"


@each_master
def test_every_question_with_checks_has_two_wrong_answers(path: Path) -> None:
    master = read(path)
    for name, question in master.questions.items():
        given = answers("WRONG").get(master.name, {}).get(name, [])
        assert question.manual or len({code for _, code in given}) >= 2, f"{master.name}, {name}: {len(given)} wrong answers"
        if is_graded(master) and not question.manual:
            assert name in answers("RIGHT").get(master.name, {}), f"{master.name}, {name}: no right answer shows that the checks accept one"


def faults_of(path: Path, some: slice) -> list[str]:
    master = read(path)
    wrong = {name: given[some] for name, given in answers("WRONG").get(master.name, {}).items()}
    return masters.examine(master, wrong, answers("RIGHT").get(master.name), solved=not is_graded(master), briefly=True)[1]


@each_master
def test_solution_blank_and_wrong_answers_get_the_marks_they_deserve(path: Path) -> None:
    faults = faults_of(path, slice(2))
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@each_master
def test_more_wrong_answers_lose_marks_too(path: Path) -> None:
    faults = faults_of(path, slice(2, None))
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("student", [1, 20261122, "s31b"])
@each_master
def test_every_student_can_get_full_marks(path: Path, student: int | str) -> None:
    master = read(path)
    outcome = masters.run(master, answers("RIGHT").get(master.name), student=student)
    lost = {name: [c.message for c in q.checks if not c.passed] for name, q in outcome.questions.items() if not q.full}
    assert not lost and not outcome.errors, f"student {student}: {lost} {outcome.errors}"
