"""The grading desk: whose a file is, limits, what a class of notebooks gets, tables and reports."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psutil
import pytest
from desk import masters
from desk.grading import archive, command, identity, limits, notebook, process, report, run, store, tables
from otter import api as otter

from tests.coursework.sample_grading import students

ROOT = Path(__file__).resolve().parents[2]

LIMITS = limits.Limits(timeout=200, cell=12, memory=1200, printed=2, written=50)


@pytest.fixture(scope="session")
def master() -> Any:
    return masters.read(students.MASTER)


@pytest.fixture(scope="session")
def zipped(tmp_path_factory: pytest.TempPathFactory, master: Any) -> Path:
    return students.write_archive(tmp_path_factory.mktemp("archive") / "sample.zip", master)


@pytest.fixture(scope="session")
def problems(zipped: Path, master: Any) -> archive.ProblemSet:
    return archive.read_archive(zipped, master)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# --- whose it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "number", "platform"), [
    ("12345.ipynb", "12345", ""),
    ("s1234567.ipynb", "s1234567", ""),
    ("part1_12345.ipynb", "12345", ""),
    ("12345-part1 (2).ipynb", "12345", ""),
    ("doejane_12345_67890_part1.ipynb", "12345", "canvas"),
    ("doejane_LATE_12345_67890_part1-1.ipynb", "12345", "canvas"),
    ("Jane Doe_12345_assignsubmission_file_", "12345", "moodle"),
    ("Ana María O'Neill-Ruiz_12345_assignsubmission_file", "12345", "moodle"),
    ("part1.ipynb", "", ""),
    ("my solution.ipynb", "", ""),
    ("2024_2025.ipynb", "", ""),
])
def test_names_of_files(name: str, number: str, platform: str) -> None:
    guessed = identity.guess(name)
    assert (guessed.number, guessed.platform) == (number, platform)


def test_spelling_is_that_of_the_package() -> None:
    from deeplimits import coursework

    for number in ("7", "007", " 7", "s12A", "0", "000"):
        assert identity.spelling(number) == coursework._key(number)


ROSTER = 'id;name;email;canvas\n00123;"Doe, Jane";jane@example.org;99001\n456;José Müller;jose@example.org;\n789;Ann Lee;ann@example.org;\n'


def test_roster(tmp_path: Path) -> None:
    path = tmp_path / "class.csv"
    path.write_bytes(ROSTER.encode("cp1252"))
    people = identity.read_roster(path)
    assert [(p.id, p.name, p.canvas) for p in people] == [("00123", "Doe, Jane", "99001"), ("456", "José Müller", ""), ("789", "Ann Lee", "")]
    find = lambda name: getattr(identity.find(identity.guess(name), [name], people), "id", None)
    assert find("123.ipynb") == "00123"
    assert find("doejane_99001_5_part1.ipynb") == "00123"
    assert find("doejane_4711_5_part1.ipynb") == "00123", "an unknown number, but the name"
    assert find("Jose Muller_31_assignsubmission_file_") == "456"
    assert find("part1_456.ipynb") == "456", "three digits are enough for somebody on the roster"
    assert find("11111.ipynb") is None


def test_a_gradebook_of_canvas_is_a_roster(tmp_path: Path) -> None:
    path = tmp_path / "gradebook.csv"
    path.write_text('Student,ID,SIS User ID,SIS Login ID,Section\n"    Points Possible",,,,\n"Doe, Jane",99001,123,jd1,A\n', encoding="utf-8-sig")
    (person,) = identity.read_roster(path)
    assert person == identity.Person("123", "Doe, Jane", "", "99001", "jd1", "A", ("99001",))


@pytest.mark.parametrize(("text", "said"), [
    ("", "is empty"), ("name,email\nJane,j@x", "no column id"), ("id,name\n", "names nobody"), ("id,name\n7,A\n007,B\n", "two lines with the id 007"),
])
def test_bad_rosters(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "class.csv").write_text(text)
    with pytest.raises(archive.BadInput, match=f"--roster: .*{said}"):
        identity.read_roster(tmp_path / "class.csv")


def test_folders_and_zips_as_platforms_give_them(tmp_path: Path, master: Any) -> None:
    book = json.dumps(students.notebook(master, 1)).encode()
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as student_zip:
        student_zip.writestr("part1.ipynb", book)
        student_zip.writestr("data/extra.csv", "1,2")
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as whole:
        whole.writestr("Jane Doe_111_assignsubmission_file_/part1.ipynb", book)
        whole.writestr("Jane Doe_111_assignsubmission_file_/__MACOSX/._part1.ipynb", b"x")
        whole.writestr("John Roe_222_assignsubmission_file_/all.zip", inner.getvalue())
        whole.writestr("Kim Poe_333_assignsubmission_file_/essay.pdf", b"%PDF")
        whole.writestr("../evil_444_5_part1.ipynb", book)
    found = {s.person.id: s for s in identity.collect(tmp_path / "class.zip")}
    assert set(found) == {"111", "222", "333"}
    assert found["111"].person.name == "Jane Doe" and found["111"].data == book and not found["111"].files
    assert found["222"].files == {"data/extra.csv": b"1,2"}
    assert found["333"].fault == "no notebook was handed in, but essay.pdf"


def test_the_last_of_several_counts(tmp_path: Path) -> None:
    for number, name in ((3, "a_1001_30_p.ipynb"), (1, "a_1001_31_p-1.ipynb"), (2, "1002.ipynb")):
        (tmp_path / name).write_text(str(number))
    (tmp_path / "1002").mkdir()
    (tmp_path / "1002" / "work.ipynb").write_text("4")
    os.utime(tmp_path / "1002.ipynb", (1e9, 1e9))
    (tmp_path / "class.csv").write_text("not a submission")
    found = {s.person.id: s for s in identity.collect(tmp_path)}
    assert found["1001"].data == b"1" and found["1002"].data == b"4"
    assert "a_1001_30_p.ipynb was not graded" in found["1001"].notes[0]


def test_nothing_handed_in(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a submission")
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(archive.BadInput, match="SUBMISSIONS"):
            identity.collect(path)


# --- notebooks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "said"), [
    (b"  \n", "empty"), (b"<!doctype html><html>", "web page"), (b"%PDF-1.4", "PDF"), (b'{"cells": 3}', "list of cells"), (b"[1]", "list of cells"),
    (b'{"cells": [1]}', "cell 1"), (b"[" * 100_000, "no notebook"), (b"\xff\xfe{", "no notebook"),
])
def test_unreadable_notebooks(data: bytes, said: str) -> None:
    with pytest.raises(notebook.Unreadable, match=said):
        notebook.read(data)


def test_what_a_notebook_holds(master: Any, problems: archive.ProblemSet) -> None:
    book = students.notebook(master, 77, students.RIGHT)
    book["cells"].insert(0, students.cell("code", "raise ValueError", tags=["otter_ignore"]))
    read = notebook.read(json.dumps(book).encode())
    assert read.student == "77"
    assert [c.checks for c in read.cells if c.checks] == [("q1",), ("q2",), ("q3",)]
    assert not any("ValueError" in c.code for c in read.cells)
    assert notebook.written_answers(read, problems) == {"q4": students.RIGHT["q4"]}
    assert notebook.edited_checks(read, problems) == [] == notebook.worth_a_look(read) == notebook.replaced_helpers(read)


def test_edited_checks_are_seen(master: Any, problems: archive.ProblemSet) -> None:
    book = students.notebook(master, 77)
    files = {name: students.function_file(master.questions[name], False) for name in ("q2", "q3")}
    files |= {"q1": students.doctest_table(master.questions["q1"], False), "q2": files["q2"].replace("2.0", "distance(1.0, 3.0)")}
    book["metadata"]["otter"] = {"tests": files}
    assert notebook.edited_checks(notebook.read(json.dumps(book).encode()), problems) == ["q2"]


@pytest.mark.parametrize("code", ["import sys; sys._getframe(2)", "f.__code__ = g.__code__", "open('/proc/self/maps')", "setattr(cw, 'expect', print)"])
def test_cells_worth_a_look(code: str) -> None:
    book = {"cells": [students.cell("code", code)]}
    assert notebook.worth_a_look(notebook.read(json.dumps(book).encode()))


# --- the set ---------------------------------------------------------------------------------------


def test_a_set_from_its_archive(problems: archive.ProblemSet) -> None:
    assert (problems.name, problems.points) == ("sample", 10)
    found = [(q.name, q.points, q.manual, len(q.cases)) for q in problems.questions.values()]
    assert found == [("q1", 2, False, 2), ("q2", 3, False, 3), ("q3", 2, False, 1), ("q4", 3, True, 0)]
    assert [c.title for c in problems.questions["q1"].cases] == ["the sum", "the largest"]
    assert [(c.title, c.hidden) for c in problems.questions["q2"].cases] == [("two points", False), ("no direction", False), ("data of one's own", True)]
    assert problems.questions["q4"].title == "4. Your view  (read by a person)" and "Rubric" in problems.questions["q4"].rubric
    assert problems.helpers["cw"] == "deeplimits.coursework" and "numbers" not in problems.answered and "total" in problems.answered


def test_the_digest_is_that_of_the_checks(zipped: Path, master: Any, tmp_path: Path, problems: archive.ProblemSet) -> None:
    other = students.write_archive(tmp_path / "sample-autograder_2026_01_01.zip", master)
    with zipfile.ZipFile(other, "a") as more:
        more.writestr("setup.sh", "echo")
    again = archive.read_archive(other, master)
    assert (again.name, again.digest) == (problems.name, problems.digest)
    with zipfile.ZipFile(other, "a") as more:
        more.writestr("tests/q5.py", students.doctest_file(master.questions["q1"]).replace("'q1'", "'q5'"))
    assert archive.read_archive(other).digest != problems.digest
    with pytest.raises(archive.BadInput, match="checks for q5, which sample does not ask"):
        archive.read_archive(other, master)


def test_bad_archives(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as empty:
        empty.writestr("a.txt", "a")
    for name, said in (("none.zip", "no file"), ("no.zip", "no zip archive"), ("empty.zip", "no tests")):
        with pytest.raises(archive.BadInput, match=f"--archive: .*{said}"):
            archive.read_archive(tmp_path / name)


def test_points_follow_otters_rule() -> None:
    cases = tuple(archive.Case(str(k), value, False, "") for k, value in enumerate((1.0, 0.5, 0.5)))
    question = archive.Question("q", "q", 2.0, cases=cases)
    assert run.points(question, [[True, ""], [False, ""], [True, ""]]) == 1.5
    assert run.points(archive.Question("q", "q", 2.0, cases=cases, all_or_nothing=True), [[True, ""], [False, ""], [True, ""]]) == 0
    assert run.points(question, []) == 0


# --- limits on a toy process -----------------------------------------------------------------------


def toy(code: str) -> tuple[subprocess.Popen, limits.Tree]:
    mark = f"toy{time.time_ns()}"
    started = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, limits.Tree.MARK: mark}, stdout=subprocess.PIPE, start_new_session=True)
    return started, limits.Tree(started.pid, mark)


def test_the_memory_of_a_tree_and_its_end() -> None:
    child = "import time; x = bytearray(80_000_000); print(1, flush=True); time.sleep(60)"
    started, tree = toy(f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(60)")
    assert started.stdout.readline() == b"1\n"
    used, number = tree.memory()
    assert number == 2 and used > 80_000_000
    tree.kill()
    assert tree.members() == [] and started.wait(5) < 0


def test_a_child_that_detached_itself_is_found() -> None:
    started, tree = toy("import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
                        "        print(os.getpid(), flush=True)\n        time.sleep(60)\n    os._exit(0)\n")
    orphan = int(started.stdout.readline())
    started.wait(5)
    assert any(stray.pid == orphan for stray in tree.strays())
    tree.kill()
    assert not tree.strays()


def test_sizes_and_bad_limits(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(os.urandom(100_000))
    with (tmp_path / "hole").open("wb") as hole:
        hole.truncate(10**9)
    assert 100_000 <= limits.size_of(tmp_path) < 200_000
    assert limits.Limits(timeout=90).cell == 30
    with pytest.raises(ValueError, match="--memory must be positive; got -1"):
        limits.Limits(memory=-1)


# --- a few submissions for real ---------------------------------------------------------------------


def graded(problems: archive.ProblemSet, data: bytes, student: str, **other: Any) -> tuple[run.Result, dict[str, float]]:
    result = run.grade(problems, data, student, {}, LIMITS, **other)
    return result, {name: run.points(problems.questions[name], checks) for name, checks in result.checks.items()}


def test_an_honest_submission(problems: archive.ProblemSet, master: Any) -> None:
    data, points, _ = students.the_class(master)["10002_sample.ipynb"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        calls = f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), timeout=5)"
        book = students.after(json.loads(data), "total =", calls, "import os\nprint(os.environ)\nassert os.path.expanduser('~') in os.getcwd()")
        result, came = graded(problems, json.dumps(book).encode(), "10002")
    assert (came, result.status, result.number) == (points, "ok", "10002") and result.memory > 50
    assert result.checks["q2"][1] == [False, "the distance of 3 and 1: expected 2, came -2, off by 4. See Sample chapter, Distances."]
    assert [note.partition("raised")[2] for note in result.notes] == [" OSError: there is no network while a notebook is graded"]


@pytest.mark.parametrize("name", ["10010.ipynb", "10012.ipynb"])
def test_a_crash_and_a_cheat(problems: archive.ProblemSet, master: Any, name: str) -> None:
    data, points, status = students.the_class(master)[name]
    result, came = graded(problems, data, name[:5])
    assert (came, result.status) == (points, status), result.notes


def test_the_notebook_of_another_set_is_a_mistake_and_no_fraud(problems: archive.ProblemSet, master: Any) -> None:
    book = json.loads(students.the_class(master)["10002_sample.ipynb"][0])
    book["metadata"].setdefault("otter", {})["assignment_name"] = "open-other"
    result, _ = graded(problems, json.dumps(book).encode(), "10002")
    assert result.status == "wrong set" and result.notes[0] == f"this is the notebook of open-other, graded as {problems.name}"


def test_stopping_ends_the_process_at_once(problems: archive.ProblemSet, master: Any) -> None:
    stop = threading.Event()
    stop.set()
    before = {path.name for path in Path(process.tempfile.gettempdir()).glob("desk-*")}
    with pytest.raises(process.Stopped):
        graded(problems, students.the_class(master)["10005.ipynb"][0], "10005", stop=stop)
    assert {path.name for path in Path(process.tempfile.gettempdir()).glob("desk-*")} <= before


def test_the_environment_holds_nothing_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_SECRET", "1")
    made = process.environment(tmp_path, "mark")
    assert "MY_SECRET" not in made and made["HOME"] == str(tmp_path) and made["OMP_NUM_THREADS"] == "1"


# --- what is kept between runs ----------------------------------------------------------------------


def submission(number: str, data: bytes = b"{}", **other: Any) -> identity.Submission:
    return identity.Submission(identity.Person(number, f"Name {number}", f"{number}@example.org"), f"{number}.ipynb", data, **other)


def test_the_key_of_a_result(problems: archive.ProblemSet) -> None:
    key = lambda s, l=LIMITS: store.key(s, problems, l)
    first = key(submission("1"))
    assert first == key(submission("001")) and len(first) == 32
    others = [key(submission("2")), key(submission("1", b"{ }")), key(submission("1", files={"a": b""})), key(submission("1"), limits.Limits())]
    assert len({first, *others}) == 5


def test_only_what_changed_is_graded_again(problems: archive.ProblemSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def grade(problems: Any, data: bytes, student: str, *_: Any) -> run.Result:
        seen.append(student)
        if data == b"stop":
            raise KeyboardInterrupt
        return run.Result(number=student)

    monkeypatch.setattr(command, "grade", grade)
    monkeypatch.setattr(command, "font_cache", lambda folder: None)
    go = lambda *given, fresh=False: command.grade_all(list(given), problems, LIMITS, tmp_path, 1, fresh, quiet=True)
    with pytest.raises(KeyboardInterrupt):
        go(submission("1"), submission("2", b"stop"), submission("3"))
    assert seen[:2] == ["1", "2"]
    seen.clear()
    assert [r.number for r in go(submission("1"), submission("2"), submission("3"))] == ["1", "2", "3"]
    assert "1" not in seen, "what was finished before the interruption is kept"
    seen.clear()
    go(submission("1"), submission("2", b"changed"), submission("3"))
    assert seen == ["2"]
    go(submission("1"), fresh=True)
    assert seen == ["2", "1"]


def test_a_damaged_result_is_graded_again(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"status": ')
    assert store.load(tmp_path, "x") is None and store.load(tmp_path, "y") is None
    store.save(tmp_path, "x", run.Result(notes=["\udc80 odd"]))
    assert store.load(tmp_path, "x").status == "ok"


# --- tables and reports ----------------------------------------------------------------------------


@pytest.fixture()
def marks(problems: archive.ProblemSet) -> list[tables.Mark]:
    person = lambda number, name, canvas="": identity.Person(number, name, f"{number}@example.org", canvas, f"login{number}", "A")
    good = run.Result(checks={"q1": [[True, ""]] * 2, "q2": [[True, ""]] * 3, "q3": [[True, ""]]}, answers={"q4": "Because <b>so</b>."})
    bad = run.Result("tampering found", ["cell 3 raised <script>alert(1)</script>"], {"q1": [[True, ""], [False, "the largest: expected 3, came <2>. See Sums."]],
                                                                                      "q2": [[False, "no"]] * 3, "q3": [[False, "no"]]})
    manual = {("1", "q4"): tables.Judged(2.5, "clear"), ("2", "q2"): tables.Judged(1.0, "half right")}
    people = [(person("1", "Doe, Jane", "901"), good), (person("2", "=SUM(A1)"), bad), (person("3", "Absent"), None)]
    return [tables.mark(problems, who, f"{who.id}.ipynb", result, manual) for who, result in people]


def test_the_table_of_grades(problems: archive.ProblemSet, marks: list[tables.Mark]) -> None:
    first, second, third = rows_of(tables.grades(problems, marks))
    assert (first["q1"], first["q4"], first["total"], first["max"], first["status"], first["to judge"]) == ("2", "2.5", "9.5", "10", "ok", "")
    assert (second["q1"], second["q2"], second["q4"], second["total"], second["to judge"]) == ("1", "1", "", "2", "q4"), "a person's points replace those of checks"
    assert second["name"] == "'=SUM(A1)", "no formula for a spreadsheet"
    assert (third["status"], third["total"]) == ("nothing handed in", "")


def test_the_tables_for_platforms(problems: archive.ProblemSet, marks: list[tables.Mark]) -> None:
    lines = list(csv.reader(io.StringIO(tables.canvas(problems, marks))))
    assert lines[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", problems.title]
    assert lines[1] == ["    Points Possible", "", "", "", "", "10"]
    assert lines[2] == ["Doe, Jane", "901", "1", "login1", "A", "9.5"] and lines[4][-1] == ""
    first, second, _ = rows_of(tables.moodle(problems, marks))
    assert first["ID number"] == "1" and first["Email address"] == "1@example.org" and first[problems.title] == "9.5"
    assert "clear" in first["Feedback"] and "expected 3, came <2>" in second["Feedback"]


def test_points_of_a_person(problems: archive.ProblemSet, marks: list[tables.Mark], tmp_path: Path) -> None:
    path = tmp_path / "manual.csv"
    path.write_text("id,question,points,comment\n001,q4,\"2,5\",fine\n2,q4,,\n")
    manual = tables.read_manual(path, problems)
    assert manual == {("1", "q4"): tables.Judged(2.5, "fine")}
    blank = rows_of(tables.to_judge(problems, marks, manual))
    assert [(row["id"], row["question"], row["points"]) for row in blank] == [("1", "q4", "2.5"), ("2", "q4", "")]
    assert tables.unknown_people({("9", "q4"): tables.Judged(1)}, marks) == ["9"]


@pytest.mark.parametrize(("line", "said"), [
    ("1,q9,1,", "line 2: sample has no question 'q9'; it has q1, q2, q3, q4"), ("1,q4,4,", "line 2: points must lie between 0 and 3; got 4"),
    ("1,q4,three,", "line 2: points must be a number; got 'three'"),
])
def test_bad_points_of_a_person(problems: archive.ProblemSet, tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "manual.csv").write_text(f"id,question,points,comment\n{line}\n")
    with pytest.raises(archive.BadInput, match=said):
        tables.read_manual(tmp_path / "manual.csv", problems)


class Links(HTMLParser):
    """What a page refers to, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_reports(problems: archive.ProblemSet, marks: list[tables.Mark], tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "old.html").write_text("of nobody")
    report.write_all(tmp_path, problems, marks)
    assert sorted(p.name for p in (tmp_path / "reports").iterdir()) == ["1.html", "2.html", "3.html"]
    for path in [*tmp_path.rglob("*.html")]:
        links = Links()
        links.feed(path.read_text(encoding="utf-8"))
        assert "script" not in links.tags and "link" not in links.tags and "b" not in links.tags, path.name
        assert all((path.parent / link).exists() for link in links.found), "a report stands alone; the summary leads to the reports"
    text = (tmp_path / "reports" / "2.html").read_text(encoding="utf-8")
    assert "the largest: expected 3, came &lt;2&gt;. See Sums." in text and "<strong>2</strong> of 10" in text and "half right" in text
    assert "a person still judges q4" in text
    assert "Because &lt;b&gt;so" in (tmp_path / "to-judge.html").read_text(encoding="utf-8")


def test_hidden_checks_can_stay_hidden(problems: archive.ProblemSet, marks: list[tables.Mark]) -> None:
    assert "came &lt;2&gt;" not in report.student_page(problems, marks[1], hide_hidden=True)
    assert "came <2>" not in tables.moodle(problems, marks, hide_hidden=True)


def test_the_summary_counts(problems: archive.ProblemSet, marks: list[tables.Mark]) -> None:
    worst = report.failures(problems, marks)[0]
    assert worst[:2] == (1, 2)
    page = report.summary_page(problems, marks)
    assert "2 handed in" in page and "tampering found" in page and "<script" not in page


# --- the command -----------------------------------------------------------------------------------


def desk(*given: Any) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "book" / "coursework"), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", "desk", "grade", *map(str, given)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def arguments(*given: Any) -> Any:
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(word) for word in given])


@pytest.mark.parametrize(("given", "said"), [
    (("nowhere", "--archive", "a.zip", "--workers", "0"), "--workers must be at least 1; got 0"),
    (("nowhere", "--archive", "a.zip", "--timeout", "0"), "--timeout must be positive; got 0"),
    (("nowhere", "--archive", "a.zip"), "SUBMISSIONS: there is no folder or zip archive nowhere"),
    (("FOLDER", "--archive", "a.zip"), "--archive: there is no file a.zip"),
    (("FOLDER",), "--set: which set"),
    (("FOLDER", "--set", "part99"), "--set: no archive of part99 is built"),
    (("FOLDER", "--set", "part1", "--private", "nowhere-private"), "--private: there is no folder nowhere-private"),
    (("nowhere", "--roster", "no.csv", "--set", "part1"), "--roster: there is no file no.csv"),
])
def test_errors_name_the_argument(given: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "1001.ipynb").write_text("{}")
    assert command.run(arguments(*(tmp_path if word == "FOLDER" else word for word in given))) == 2
    assert said in capsys.readouterr().err


def test_whose_it_is_from_the_notebook(master: Any) -> None:
    book = lambda student: json.dumps(students.notebook(master, student)).encode()
    unknown = lambda data: identity.Submission(identity.Person(""), "work.ipynb", data, known=False)
    roster = [identity.Person("0042", "Jane")]
    assert command.name_unknown(unknown(book(42)), roster).person.name == "Jane"
    assert command.name_unknown(unknown(book(0)), roster).person.id == ""
    assert "rename it to <id>.ipynb" in command.name_unknown(unknown(b""), roster).notes[0]


def test_the_set_that_the_notebooks_name(master: Any) -> None:
    book = json.dumps(students.notebook(master, 7)).encode()
    assert command.say_they_belong_to([submission("1", book), submission("2", b""), submission("3", b"{}"), submission("4", book)]) == "sample"
    assert command.say_they_belong_to([submission("2", b"")]) == ""
    assert command.candidates("part1")[0] == "graded-part1" and command.candidates("open-part1") == ["open-part1"]


@pytest.mark.slow
def test_a_made_up_class(master: Any, zipped: Path, tmp_path: Path) -> None:
    the_class, folder, out = students.the_class(master), tmp_path / "handed in", tmp_path / "out"
    folder.mkdir()
    for name, (data, _, _) in the_class.items():
        (folder / name).write_bytes(data)
    numbers = [f"{10000 + k}" for k in range(1, 30)]
    (folder / "class.csv").write_text("id,name,email\n" + "".join(f"{n},Student {n},{n}@example.org\n" for n in numbers))
    (folder / "manual.csv").write_text("id,question,points,comment\n10001,q4,3,well said\n")
    (zipped.parent / "sample.md").write_text(students.MASTER.read_text(encoding="utf-8"), encoding="utf-8")
    given = (folder, "--archive", zipped, "--roster", folder / "class.csv", "--out", out, "--timeout", 200, "--cell", 12, "--memory", 1200, "--written", 50)
    done = desk(*given)
    assert done.returncode == 0, done.stderr
    rows = {row["id"]: row for row in rows_of((out / "grades.csv").read_text(encoding="utf-8"))}
    assert sorted(rows) == numbers
    for name, (_, points, status) in the_class.items():
        row = rows[next(n for n in numbers if n in name)]
        assert ({q: float(row[q]) for q in points}, row["status"]) == (points, status), (name, row)
    assert (rows["10001"]["total"], rows["10001"]["q4"], rows["10029"]["status"]) == ("10", "3", "nothing handed in")
    assert len(list((out / "reports").iterdir())) == 29 and len(list((out / "results").glob("*.json"))) == 28
    assert leftover() == []
    again = desk(*given)
    assert again.returncode == 0 and "28 of 28 have not changed" in again.stderr


@pytest.mark.slow
def test_an_interruption_loses_nothing_finished(master: Any, zipped: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "handed in", tmp_path / "out"
    folder.mkdir()
    for name in ("10001.ipynb", "10005.ipynb"):
        (folder / name).write_bytes(students.the_class(master)[name][0])
    command_line = [sys.executable, "-m", "desk", "grade", str(folder), "--archive", str(zipped), "--out", str(out), "--timeout", "500"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "book" / "coursework")}
    running = subprocess.Popen(command_line, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if "10001: ok" in line:
            break
    running.send_signal(signal.SIGINT)
    assert "the same command goes on from here" in running.stderr.read() and running.wait(30) == 130
    assert len(list((out / "results").glob("*.json"))) == 1 and not (out / "grades.csv").exists()
    assert not limits.Tree(os.getpid(), "").psutil.pid_exists(running.pid)
    assert leftover() == []


def leftover() -> list[str]:
    """Processes of submissions that still run below this one's command."""
    lines = [" ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline", "ppid"]) if p.info["ppid"] in (1, os.getpid())]
    return [line for line in lines if str(process.WORKER) in line]


@pytest.mark.slow
def test_the_marks_are_those_of_otter(master: Any, tmp_path: Path) -> None:
    from desk import assemble

    problems = archive.read_archive(assemble.assign(master, tmp_path / "built")[1], master)
    made = next((tmp_path / "built" / "made" / "autograder").glob("*.zip"))
    for answers in (students.RIGHT, {**students.RIGHT, "q2": "def distance(x, y):\n    return y - x", "q3": "doubled = 1 / 0"}):
        path = tmp_path / "10001.ipynb"
        path.write_text(json.dumps(students.notebook(master, 10001, answers)))
        theirs = otter.grade_submission(str(path), str(made), quiet=True)
        _, ours = graded(problems, path.read_bytes(), "10001")
        assert ours == {name: pytest.approx(theirs.get_score(name)) for name in ours}
