"""The teacher's private overlay: written outside the repository, merged with the public set, refused where it would grade wrongly."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import assemble, masters, overlay
from desk.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = Path(__file__).parent / "sample"
PUBLIC = SAMPLE / "public"
SECRETS = ("sample.std", "sample.var", "top + t", "logsumexp", "no overflow", "Full marks.", "largest term makes")


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A filled-in overlay of the sample set."""
    return Path(shutil.copytree(SAMPLE / "private", tmp_path / "my-set"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


# --- the files to fill in --------------------------------------------------------------------------


def test_the_scaffold_has_a_file_for_every_question(tmp_path: Path) -> None:
    written = overlay.scaffold(tmp_path / "new", home=PUBLIC)
    names = {path.relative_to(tmp_path / "new").as_posix() for path in written}
    assert names == {"README.md", ".gitignore", "masters/.gitkeep", "graded-sample/q1.md", "graded-sample/q2.md", "graded-sample/q3.md"}
    assert (tmp_path / "new" / ".gitignore").read_text() == "built/\n"
    assert "# HIDDEN" in (tmp_path / "new/graded-sample/q1.md").read_text()
    assert "Sample answers" in (tmp_path / "new/graded-sample/q3.md").read_text()
    assert "make coursework PRIVATE=" in (tmp_path / "new" / "README.md").read_text()


def test_the_scaffold_overwrites_nothing(private: Path) -> None:
    before = {path: path.read_bytes() for path in private.rglob("*.md")}
    (private / "graded-sample/q2.md").unlink()
    written = overlay.scaffold(private, home=PUBLIC)
    assert private / "graded-sample/q2.md" in written and private / "graded-sample/q1.md" not in written
    assert all(path.read_bytes() == text for path, text in before.items() if path.name != "q2.md")


@pytest.mark.parametrize("inside", [".", "book/coursework/mine", "_build/mine", "tests/../mine"])
def test_a_folder_inside_the_repository_is_refused(inside: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ROOT / inside
    assert main(["private", str(folder)]) == 1
    assert "inside the repository" in capsys.readouterr().err
    assert main(["build", "--private", str(folder)]) == 1
    assert folder == ROOT / "." or not folder.exists()


def test_a_link_into_the_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ROOT / "book")
    with pytest.raises(overlay.Refused, match="inside the repository"):
        overlay.scaffold(tmp_path / "link" / "mine", home=PUBLIC)


def test_the_command_private(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["private", str(tmp_path / "new"), "--only", "part1"]) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir() if path.is_dir()) == ["graded-part1", "masters"]
    assert "make coursework PRIVATE=" in capsys.readouterr().out
    assert main(["private", str(tmp_path / "new"), "--only", "part1"]) == 0
    assert "nothing to add" in capsys.readouterr().out


def test_a_fresh_scaffold_of_all_sets_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overlay.scaffold(tmp_path / "new")
    assert overlay.sets(tmp_path / "new") == []
    assert capsys.readouterr().out.count("nothing filled in yet, left out") == 6


# --- merging ---------------------------------------------------------------------------------------


def test_a_filled_in_overlay_grades(private: Path) -> None:
    (one,) = overlay.sets(private, home=PUBLIC)
    assert one.name == "graded-sample" and one.solved
    assert {name: [test.hidden for test in q.tests] for name, q in one.graded.questions.items()} \
        == {"q1": [False, False, True], "q2": [False, True, True], "q3": []}
    assert masters.run(one.graded, student="s7").marks == one.graded.points - 2 == 7
    assert not any(test.hidden for q in one.public.questions.values() for test in q.tests)


def test_hidden_checks_take_marks_from_an_answer_that_passes_the_public_ones(private: Path) -> None:
    (one,) = overlay.sets(private, home=PUBLIC)
    naive = {"q2": "soft = lambda x, t: t * torch.log(torch.exp(x / t).sum())", "q1": "mean = sample.mean()\nerror = 0.5"}
    outcome = masters.run(one.graded, naive)
    assert outcome.questions["q2"].marks == 2 and outcome.questions["q1"].marks == pytest.approx(8 / 3)
    assert "expected 2, came inf" in outcome.questions["q2"].checks[1].message


def change(file: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda private: edit(private / "graded-sample" / file, old, new)


@pytest.mark.parametrize(("spoil", "words"), [
    (change("q1.md", "sample.std()", "sample.var()"), "q1: your solution scores 2.66667 of 4 for student number 0: the standard error: error: expected 0."),
    (change("q1.md", "sample.mean()", "sample.means()"), "AttributeError"),
    (change("q1.md", "sample.std() / len(sample) ** 0.5", "0.1381785"), "for student number 7654321"),
    (change("q1.md", "cw.expect_close(error, sample", 'cw.expect_close(1, 1, what="", see="")\n# (error, sample'),
     "q1: a blank notebook passes: the standard error"),
    (change("q1.md", "mean = sample.mean()\nerror = sample.std() / len(sample) ** 0.5", "mean = ...\nerror = ..."), "q1: the solution is still the stub"),
    (change("q2.md", "# END SOLUTION", "# BEGIN SOLUTION"), "graded-sample/q2.md: # BEGIN SOLUTION is out of place"),
    (change("q1.md", "# the standard error\n", ""), "graded-sample/q1.md: a check begins with a comment that names it"),
    (lambda private: (private / "graded-sample/q3.md").unlink(), "q3: the file q3.md is missing"),
    (lambda private: (private / "graded-sample/q3.md").rename(private / "graded-sample/q33.md"), "has no question q33; it has q1, q2, q3"),
])
def test_what_would_grade_wrongly_is_refused(private: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(private)
    with pytest.raises(overlay.Refused) as caught:
        overlay.sets(private, home=PUBLIC)
    assert words in str(caught.value)


def test_a_question_without_a_hidden_check_is_refused(private: Path) -> None:
    path = private / "graded-sample/q1.md"
    text = path.read_text()
    start = text.index("# HIDDEN")
    path.write_text(text[:start] + "# HIDDEN\n# later\n..." + text[text.index("\n```", start):])
    with pytest.raises(overlay.Refused, match="q1: no hidden check is written"):
        overlay.sets(private, home=PUBLIC)


def test_all_reasons_are_listed_at_once(private: Path) -> None:
    for path in ("q1.md", "q2.md"):
        (private / "graded-sample" / path).unlink()
    with pytest.raises(overlay.Refused) as caught:
        overlay.sets(private, home=PUBLIC)
    assert len(caught.value.faults) == 2


def test_a_check_that_forgot_its_first_line_is_hidden_all_the_same(private: Path) -> None:
    edit(private / "graded-sample/q1.md", "# HIDDEN\n", "")
    (one,) = overlay.sets(private, home=PUBLIC)
    assert one.graded.questions["q1"].tests[-1].hidden


def test_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(overlay.Refused, match="make private-set"):
        overlay.sets(tmp_path / "nowhere", home=PUBLIC)


# --- what is made ----------------------------------------------------------------------------------


def test_the_private_build_keeps_its_secrets(private: Path) -> None:
    (one,) = overlay.sets(private, home=PUBLIC)
    public = masters.read(PUBLIC / "graded" / "sample.md")
    out = private / "built"
    assemble.build_one(one, out, solutions=False)
    assemble.build_one(assemble.Set(public, public, False), private / "open", solutions=False)
    student = (out / "student" / "graded-sample.ipynb").read_text()
    assert student == (private / "open" / "student" / "graded-sample.ipynb").read_text(), "students get the public notebook"
    text = student + json.dumps(assemble.packed_checks(json_notebook(out / "student" / "graded-sample.ipynb")))
    assert not [secret for secret in SECRETS if secret in text]
    with zipfile.ZipFile(out / "autograder" / "graded-sample.zip") as archive:
        assert archive.read("tests/q2.py").decode().count("hidden=True") == 2
        assert json.loads(archive.read("otter_config.json"))["assignment_name"] == "graded-sample"
    assert not any((out / "solutions").iterdir())


def json_notebook(path: Path) -> object:
    import nbformat

    return nbformat.read(path, 4)


def test_masters_of_ones_own(private: Path) -> None:
    text = (PUBLIC / "graded" / "sample.md").read_text()
    (private / "masters").mkdir()
    own = text.replace("graded-sample", "graded-mine").replace("mean = ...\nerror = ...", "mean = sample.mean()  # SOLUTION\nerror = 0.1  # SOLUTION")
    own = own.replace("    ...\n", "    return t * torch.logsumexp(x / t, 0)  # SOLUTION\n")
    (private / "masters" / "mine.md").write_text(own)
    names = [one.name for one in overlay.sets(private, home=PUBLIC)]
    assert names == ["graded-sample", "graded-mine"]
    (private / "masters" / "mine.md").write_text(own.replace("error = 0.1", "error = -0.1"))
    with pytest.raises(overlay.Refused, match="graded-mine, q1: your solution scores 2 of 4"):
        overlay.sets(private, home=PUBLIC)
    (private / "masters" / "mine.md").write_text(text)
    with pytest.raises(overlay.Refused, match="the name graded-sample is taken"):
        overlay.sets(private, home=PUBLIC)
