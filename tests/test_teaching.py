"""The teacher's kit without a site: goals and times of the chapters, plans, the map of all questions, drawings."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
TEACHING = ROOT / "book" / "teaching"
CHAPTERS = sorted(p.relative_to(ROOT).with_suffix("").as_posix() for p in (ROOT / "book").glob("part*/*.md"))
BOX = re.compile(r"^([`:]{3,})\{admonition\} In this chapter\n.*?^\1\s*$", re.M | re.S)


@pytest.fixture(scope="module")
def extensions() -> Iterator[Any]:
    """The modules of book/_ext, as the build imports them."""
    import importlib

    folder = str(ROOT / "book" / "_ext")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(folder)


def box(page: str) -> Any:
    """The first box of a chapter, read without Sphinx; its links stay unresolved."""
    from docutils.core import publish_doctree
    from myst_parser.docutils_ import Parser

    found = BOX.search((ROOT / f"{page}.md").read_text(encoding="utf8"))
    assert found, f"{page} has no box 'In this chapter'"
    return publish_doctree(found[0], parser=Parser(), settings_overrides={"report_level": 5, "myst_enable_extensions": ["colon_fence", "dollarmath"]})


def goals(extensions: Any, page: str) -> list[str]:
    return ["".join(n.astext() for n in goal) for goal in extensions("book_goals").lesson(page, box(page)).goals]


# --- chapters --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", CHAPTERS)
def test_chapter_says_what_it_teaches_and_how_long_it_takes(page: str, extensions: Any) -> None:
    lesson = extensions("book_goals").lesson(page, box(page))
    said = goals(extensions, page)
    assert 3 <= len(said) <= 6
    for goal in said:
        assert re.match(r"[a-z]", goal) and not goal.endswith((".", ";", ",")), f"a goal begins with a verb and ends without a stop: {goal!r}"
    assert 15 <= lesson.reading <= 60
    assert lesson.needs


def test_box_without_times_is_refused(extensions: Any) -> None:
    from docutils import nodes
    from sphinx.errors import ExtensionError

    title = nodes.title("", "In this chapter")
    bare = nodes.document(None, None)
    bare += nodes.admonition("", title, nodes.paragraph("", "You will see."))
    with pytest.raises(ExtensionError, match=r"goals, prerequisites and the minutes"):
        extensions("book_goals").lesson("book/part1/x", bare)


def test_one_sentence_is_several_goals(extensions: Any) -> None:
    from docutils import nodes

    found = extensions("book_goals").sentence([nodes.Text(" see one thing; know "), nodes.math("", "x"), nodes.Text("; and do it. ")])
    assert ["".join(n.astext() for n in goal) for goal in found] == ["see one thing", "know x", "do it"]


def test_parts_are_those_of_the_table_of_contents(extensions: Any) -> None:
    found = extensions("book_kit").parts()
    assert [part.key for part in found] == [f"part{k}" for k in range(1, 7)]
    assert sorted(page for part in found for page in part.pages) == CHAPTERS


# --- plans -----------------------------------------------------------------------------------------

PLANS = [yaml.safe_load(body) for body in re.findall(r"^```\{syllabus\}\n(.*?)^```", (TEACHING / "syllabus.md").read_text(encoding="utf8"), re.M | re.S)]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{len(plan)} weeks")
def test_plan_reads_every_chapter_once_and_in_order(plan: list[dict[str, Any]], extensions: Any) -> None:
    read = [f"book/{name}" for week in plan for name in week.get("read", ())]
    assert read == [page for part in extensions("book_kit").parts() for page in part.pages]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{len(plan)} weeks")
def test_plan_hands_in_every_set_after_its_chapters(plan: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    sets = []
    for week in plan:
        seen |= set(week.get("read", ()))
        for key in [week["set"]] if isinstance(week.get("set"), str) else week.get("set", ()):
            sets.append(key)
            assert {c.removeprefix("book/") for c in CHAPTERS if c.startswith(f"book/{key}/")} <= seen, f"{key} is due before its chapters are read"
    assert sets == [*(f"part{k}" for k in range(1, 7)), "project"]


def test_plans_have_six_and_twelve_weeks() -> None:
    assert [len(plan) for plan in PLANS] == [6, 12]


# --- questions -------------------------------------------------------------------------------------


def test_every_question_has_its_goals_and_statements(extensions: Any) -> None:
    found, missing = extensions("book_questions").questions(), []
    assert found
    for question in found:
        missing += [f"{question.set} {question.name}: no goal"] if not question.goals else []
        missing += [f"{question.set} {question.name}: no statement"] if not question.statements and not question.set.endswith("project") else []
    assert not missing, f"book/teaching/questions.yml: {missing}"


def test_map_names_only_what_there_is(extensions: Any) -> None:
    there = {(q.set, q.name) for q in extensions("book_questions").questions()}
    named = {(name, question) for name, entries in extensions("book_questions").mapped().items() for question in entries}
    assert named <= there, f"book/teaching/questions.yml names questions that no master has: {sorted(named - there)}"


def test_goals_and_labels_of_the_map_exist(extensions: Any) -> None:
    texts = {page: (ROOT / f"{page}.md").read_text(encoding="utf8") for page in CHAPTERS}
    labels = {label for text in texts.values() for label in re.findall(r"^:label: (\S+)", text, re.M)}
    count = {page: len(goals(extensions, page)) for page in CHAPTERS}
    wrong = []
    for question in extensions("book_questions").questions():
        for goal in question.goals:
            page, _, number = goal.rpartition(" ")
            wrong += [] if number.isdigit() and 1 <= int(number) <= count.get(f"book/{page}", 0) else [f"{question.short}: goal {goal}"]
        wrong += [f"{question.short}: {label}" for label in question.statements if label not in labels]
    assert not wrong, f"book/teaching/questions.yml: {wrong}"


def test_titles_and_grades_are_told_apart(extensions: Any) -> None:
    found = extensions("book_questions").questions()
    assert not [q.title for q in found if re.match(r"\d|$", q.title) or "(" in q.grade]
    assert all(any(q.grade == "warm-up" for q in found if q.set == name) for name in {q.set for q in found} if "part" in name)
    assert all(q.points > 0 for q in found)


def test_every_part_is_asked_for(extensions: Any) -> None:
    asked = {goal.split("/")[0] for q in extensions("book_questions").questions() for goal in q.goals}
    assert asked == {f"part{k}" for k in range(1, 7)}


# --- drawings --------------------------------------------------------------------------------------

PLOT = ('<figure class="dl-explorer" data-explorer="x"><style></style><figcaption>Words</figcaption><ul class="dl-legend"><li><svg class="dl-key" '
        'viewBox="0 0 30 10" width="30" height="10" aria-hidden="true"><path stroke="#1b7fc4" d="M1 5H29"/></svg>a curve</li></ul>'
        '<svg class="dl-picture" viewBox="0 0 200 100" width="200" height="100" role="img" aria-label="What is seen.">'
        '<text x="4" y="17" fill="currentColor">share</text>'
        '<svg data-plot="" x="20" y="10" width="100" height="50" viewBox="0 0 10000 10000" preserveAspectRatio="none">'
        '<g transform="matrix(1 0 0 -1 0 10000)"><path stroke="#1b7fc4" vector-effect="non-scaling-stroke" d="M0 0L5000 10000h0"/></g></svg></svg>'
        '<div class="dl-reader"></div></figure>')


def test_first_frame_is_a_drawing_of_its_own(extensions: Any) -> None:
    svg = extensions("book_drawings").drawing(PLOT)
    assert 'd="M20.00 60.00L70.00 10.00h0.00"' in svg, "curves in the units of the picture, the vertical axis upwards"
    assert "vector-effect" not in svg and ">a curve</text>" in svg and 'viewBox="0 0 200 128"' in svg
    assert 'aria-label="What is seen."' in svg


def test_paths_within_the_frame_are_not_clipped(extensions: Any) -> None:
    svg = ('<svg><path clip-path="url(#c)" d="M 1 1 L 9 9"/><path clip-path="url(#c)" d="M 1 1 L 99 9"/>'
           '<path clip-path="url(#c)" transform="scale(9)" d="M 1 1 L 2 2"/><clipPath id="c"><rect x="0" y="0" width="10" height="10"/></clipPath></svg>')
    said = extensions("book_drawings").unclipped(svg)
    assert said.count('clip-path="url(#c)"') == 2 and '<path d="M 1 1 L 9 9"/>' in said


def test_png_is_sharp_and_on_white(extensions: Any) -> None:
    from PIL import Image

    drawings = extensions("book_drawings")
    with Image.open(io.BytesIO(drawings.png(drawings.drawing(PLOT).replace("currentColor", drawings.GREY)))) as picture:
        assert picture.width == drawings.WIDTH and picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert any(sum(colour) < 200 for colour in colours), "the ink of the text is dark"


def test_grey_of_the_files_is_that_of_the_package(extensions: Any) -> None:
    from deeplimits.explorer.palette import INK

    assert extensions("book_drawings").GREY == INK


# --- pages -----------------------------------------------------------------------------------------


def test_make_targets_of_the_kit_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    named = {target for page in TEACHING.glob("*.md") for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", page.read_text(encoding="utf8"), re.M)}
    assert named and named <= set(re.findall(r"^([a-z][a-z-]*):", makefile, re.M))


def test_times_are_counted(extensions: Any) -> None:
    import book_times

    assert book_times.summary({"a": 15.04, "b": 15.06}, 15) == (
        "In this build 1 of 2 pages keeps the aim of 15 seconds; the slowest took 15.1 seconds, all of them together 0.5 minutes.")
    assert "all 2 pages keep" in book_times.summary({"a": 1.0, "b": 2.0}, 15)


# --- formulas and their punctuation ----------------------------------------------------------------


def test_punctuation_is_tied_to_its_own_formula(extensions: Any) -> None:
    """Equal pieces of text in one paragraph: each formula takes the mark beside it, and every mark stays once."""
    from docutils import nodes
    from docutils.utils import new_document

    document = new_document("page")
    paragraph = nodes.paragraph()
    paragraph += [nodes.Text("As "), nodes.emphasis("", "one"), nodes.Text(", "), nodes.emphasis("", "two"), nodes.Text(", ("),
                  nodes.math("", "a"), nodes.Text(", "), nodes.math("", "b"), nodes.Text("), "), nodes.math("", "c"), nodes.Text(".")]
    document += paragraph
    tie = extensions("book_ties").Tie(document)
    tie.run()
    assert paragraph.astext() == "As one, two, (a, b), c."
    assert [t.astext() for t in paragraph.findall(nodes.inline)] == ["(a,", "b),", "c."]
