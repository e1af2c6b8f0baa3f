"""Whose work a file is: the names that learning platforms give to submissions, and the roster of a class."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .archive import BadInput
from .limits import MB

LARGEST = 100 * MB                                  # of one file in a zip archive
IGNORED = re.compile(r"(^|/)(\.|__MACOSX/|_checkpoints/)|\.ipynb_checkpoints|(^|/)(Thumbs\.db|desktop\.ini)$")


def spelling(number: str) -> str:
    """One spelling per student number: 7, 007 and " 7" are the same, as in `deeplimits.coursework`."""
    text = str(number).strip().casefold()
    return (text.lstrip("0") or "0") if text.isdecimal() else text


def _letters(name: str) -> str:
    """A name without case, accents, order of words and punctuation."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    return " ".join(sorted(re.findall(r"[^\W\d_]+", bare)))


# --- the roster ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Person:
    """A student of the class; `numbers` are those that platforms use for the same person."""

    id: str
    name: str = ""
    email: str = ""
    canvas: str = ""
    login: str = ""
    section: str = ""
    numbers: tuple[str, ...] = ()


COLUMNS = {
    "id": ("id", "id number", "student id", "student number", "sis user id", "number", "matriculation number"),
    "name": ("name", "full name", "student", "student name"),
    "first": ("first name", "given name"),
    "last": ("last name", "surname", "family name"),
    "email": ("email", "email address", "e-mail", "mail"),
    "canvas": ("canvas", "canvas id", "canvas_id"),
    "moodle": ("moodle", "moodle id", "moodle_id", "participant", "identifier"),
    "login": ("login", "sis login id", "username"),
    "section": ("section", "group"),
}


def read_text(data: bytes) -> str:
    """The text of a CSV file, also as spreadsheets save it."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def read_table(path: Path, argument: str) -> tuple[list[str], list[dict[str, str]]]:
    """The header (in small letters) and the rows of a CSV file with commas, semicolons or tabs."""
    if not path.is_file():
        raise BadInput(f"{argument}: there is no file {path}")
    text = read_text(path.read_bytes())
    first = text.partition("\n")[0]
    rows = list(csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count)))
    if not rows:
        raise BadInput(f"{argument}: {path} is empty; its first line names the columns")
    header = [cell.strip().casefold() for cell in rows[0]]
    return header, [dict(zip(header, (cell.strip() for cell in row), strict=False)) for row in rows[1:] if any(cell.strip() for cell in row)]


def read_roster(path: Path) -> list[Person]:
    """The class, from a CSV file with the columns id, name, email, … or from a gradebook that Canvas exported."""
    header, rows = read_table(path, "--roster")
    known = {key: next((name for name in names if name in header), "") for key, names in COLUMNS.items()}
    if "sis user id" in header:                     # Canvas: ID is the platform's own number
        known |= {"id": "sis user id", "canvas": "id" if "id" in header else known["canvas"]}
    if not known["id"]:
        raise BadInput(f"--roster: {path} has no column id (it has: {', '.join(header)}); its first line should read id,name,email")
    people: dict[str, Person] = {}
    for row in rows:
        get = lambda key, row=row: row.get(known[key], "") if known[key] else ""
        if not get("id"):
            continue                                # such as the line "Points Possible"
        name = get("name") or " ".join(filter(None, (get("first"), get("last"))))
        numbers = tuple(filter(None, (get("canvas"), re.sub(r"\D", "", get("moodle")))))
        person = Person(get("id"), name, get("email"), get("canvas"), get("login"), get("section"), numbers)
        if spelling(person.id) in people:
            raise BadInput(f"--roster: {path} has two lines with the id {person.id}")
        people[spelling(person.id)] = person
    if not people:
        raise BadInput(f"--roster: {path} names nobody; one line per student, the first line names the columns: id,name,email")
    return list(people.values())


# --- names of files --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guess:
    """What a name says: a number, a name, the order among submissions of one person, and the platform."""

    number: str = ""
    name: str = ""
    order: int = 0
    platform: str = ""


MOODLE = re.compile(r"^(?P<name>.+?)_(?P<number>\d+)_assignsubmission_\w+?_?$")
CANVAS = re.compile(r"^(?P<name>[^_]+)_(?:LATE_)?(?P<number>\d+)_(?P<order>\d+)_.+$", re.IGNORECASE)
PLAIN = re.compile(r"^[A-Za-z]{0,3}\d{3,}[A-Za-z]?$")


def guess(name: str) -> Guess:
    """What the name of a file or folder says about its owner."""
    if found := MOODLE.match(name):
        return Guess(found["number"], found["name"], 0, "moodle")
    stem = re.sub(r"(\.\w{1,6})+$", "", name)
    if found := CANVAS.match(stem):
        return Guess(found["number"], found["name"], int(found["order"]), "canvas")
    if PLAIN.match(stem):
        return Guess(stem)
    parts = [part for part in re.split(r"[\s_\-.()]+", stem) if re.fullmatch(r"[A-Za-z]{0,3}\d{4,}[A-Za-z]?", part)]
    return Guess(parts[0]) if len(parts) == 1 else Guess()


def find(guessed: Guess, names: Iterable[str], roster: list[Person]) -> Person | None:
    """The person on the roster that a guess, or a word in one of the names, means."""
    by_id = {spelling(person.id): person for person in roster}
    if spelling(guessed.number) in by_id and guessed.number:
        return by_id[spelling(guessed.number)]
    others = {spelling(number): person for person in roster for number in person.numbers}
    if spelling(guessed.number) in others and guessed.number:
        return others[spelling(guessed.number)]
    for word in (w for name in names for w in re.split(r"[\s_\-.()]+", name)):
        if word and spelling(word) in by_id:
            return by_id[spelling(word)]
    if guessed.name:
        wanted = _letters(guessed.name)
        same = [p for p in roster if _letters(p.name) == wanted or (guessed.platform == "canvas" and _joined(p.name) == sorted(wanted.replace(" ", "")))]
        return same[0] if len(same) == 1 else None
    return None


def _joined(name: str) -> list[str]:
    """Canvas joins the words of a name in an order of its own: compare the letters."""
    return sorted(_letters(name).replace(" ", ""))


# --- what was handed in ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Submission:
    """One person's notebook (the last one) with the files beside it."""

    person: Person
    source: str
    data: bytes
    files: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fault: str = ""                                 # why there is no notebook to grade
    order: tuple[float, ...] = ()
    known: bool = True                              # whether the roster or the name says whose it is


@dataclass(frozen=True)
class _File:
    path: str                                       # with "/" below the folder of submissions; through zip archives with "!/"
    data: bytes
    time: float


def _in_folder(folder: Path) -> Iterator[_File]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and not IGNORED.search(name) and not (path.parent == folder and path.suffix == ".csv"):
            yield _File(name, path.read_bytes() if path.stat().st_size <= LARGEST else b"", path.stat().st_mtime)


def _in_zip(file: _File, depth: int = 0) -> Iterator[_File]:
    """The files of a zip archive, those of archives in it too; the archive itself if it cannot be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(file.data)) as archive:
            for info in archive.infolist():
                name = info.filename.replace("\\", "/")
                if info.is_dir() or IGNORED.search(name) or ".." in name.split("/"):
                    continue
                when = 0.0 if info.date_time[0] < 1990 else float("".join(f"{part:02d}" for part in info.date_time))
                inner = _File(f"{file.path}!/{name}", archive.read(info) if info.file_size <= LARGEST else b"", when)
                yield from _in_zip(inner, depth + 1) if name.lower().endswith(".zip") and depth < 2 else [inner]
    except (zipfile.BadZipFile, OSError, RuntimeError):           # broken; unreadable; with a password or an unknown compression
        yield file


def all_files(path: Path) -> list[_File]:
    """Every file of a folder of submissions or of the zip archive that a platform gives."""
    if path.is_dir():
        found = list(_in_folder(path))
    elif path.is_file():
        found = [_File(path.name, path.read_bytes(), path.stat().st_mtime)]
    else:
        raise BadInput(f"SUBMISSIONS: there is no folder or zip archive {path}")
    return [inner for file in found for inner in (_in_zip(file) if file.path.lower().endswith(".zip") else [file])]


def _owner(path: str, roster: list[Person]) -> tuple[str, Guess, Person | None]:
    """The part of a path that says whose file it is, what it says, and the person on the roster."""
    parts = [part.removesuffix("!") for part in path.split("/")]
    guesses = [(index, guess(part)) for index, part in enumerate(parts)]
    for platform in ("moodle", "canvas"):
        for index, guessed in guesses:
            if guessed.platform == platform:
                return "/".join(parts[: index + 1]), guessed, find(guessed, [parts[index]], roster)
    for index, guessed in reversed(guesses):
        if person := find(guessed, [PurePosixPath(parts[index]).stem], roster):
            return "/".join(parts[: index + 1]), guessed, person
    for index, guessed in reversed(guesses):
        if guessed.number:
            return "/".join(parts[: index + 1]), guessed, None
    return path, Guess(), None


def collect(path: Path, roster: list[Person] | None = None) -> list[Submission]:
    """One submission for each person, the last handed in where there are several."""
    roster = roster or []
    groups: dict[str, list[_File]] = {}
    owners: dict[str, tuple[Guess, Person | None]] = {}
    for file in all_files(path):
        key, guessed, person = _owner(file.path, roster)
        groups.setdefault(key, []).append(file)
        owners[key] = guessed, person
    if not groups:
        raise BadInput(f"SUBMISSIONS: {path} holds no files; it should hold notebooks, folders or zip archives of students")
    made = [_submission(key, files, *owners[key]) for key, files in groups.items()]
    made = [s for s in made if s.known or not s.fault or s.source.lower().endswith(".zip")]         # a stray text file is nobody's
    if not made:
        raise BadInput(f"SUBMISSIONS: {path} holds no notebook (.ipynb)")
    return sorted(_latest(made), key=lambda s: (not s.known, spelling(s.person.id).rjust(30), s.source))


def _submission(key: str, files: list[_File], guessed: Guess, person: Person | None) -> Submission:
    notebooks = sorted((f for f in files if f.path.lower().endswith(".ipynb")), key=lambda f: f.time)
    known = person is not None or bool(guessed.number)
    person = person or Person(guessed.number, guessed.name if guessed.platform else "", canvas=guessed.number if guessed.platform == "canvas" else "")
    if guessed.platform == "canvas" and not person.canvas:
        person = Person(person.id, person.name, person.email, guessed.number, person.login, person.section, person.numbers)
    if not notebooks:
        names = ", ".join(PurePosixPath(f.path).name for f in files)[:100]
        return Submission(person, key, b"", fault=f"no notebook was handed in, but {names}", order=(guessed.order, max(f.time for f in files)), known=known)
    chosen = notebooks[-1]
    notes = tuple(f"several notebooks were handed in together; {chosen.path} was graded" for _ in notebooks[1:2])
    folder = chosen.path.rpartition("/")[0]
    files = {f.path.removeprefix(folder).lstrip("/"): f.data for f in files if f is not chosen and folder and f.path.startswith(folder + "/")}
    return Submission(person, chosen.path, chosen.data, {n: d for n, d in files.items() if not n.endswith(".ipynb")}, notes,
                      order=(guessed.order, chosen.time), known=known)


def _latest(made: list[Submission]) -> Iterator[Submission]:
    """For each person the last submission, which names the others."""
    people: dict[str, list[Submission]] = {}
    for submission in made:
        people.setdefault(spelling(submission.person.id) if submission.person.id else "?" + submission.source, []).append(submission)
    for same in people.values():
        same.sort(key=lambda s: (not s.fault, s.order))
        last = same[-1]
        older = tuple(f"handed in more than once; this is the last one, {other.source} was not graded" for other in same[:-1])
        yield Submission(last.person, last.source, last.data, last.files, last.notes + older, last.fault, last.order, last.known)
