"""In the student's process: one check, run as otter runs it, in a copy of the student's names.

In the copy, Python's own functions, the modules (``np``, ``cw``, …) and the data that the notebook was handed out with are the genuine ones again, and
``student`` is the number that the submission is filed under.
"""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import types
from typing import Any

from desk_given import same
from desk_guard import Guard, poses, shadows

LONGEST = 2000                                      # characters of a message


def say(error: BaseException) -> str:
    """What an error says; a student's own exception may refuse to."""
    try:
        text = str(error)
    except BaseException:
        text = "(its text cannot be read)"
    text = " ".join(text[:LONGEST].split())
    return text if type(error) is AssertionError and text else f"{type(error).__name__}: {text}".removesuffix(": ")


class Runner(doctest.DocTestRunner):
    """otter's verdict (no example fails), and the first fault in words."""

    fault = ""

    def report_failure(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        self.fault = self.fault or f"expected {example.want.strip() or 'nothing'}, came {got.strip() or 'nothing'}"[:LONGEST]

    def report_unexpected_exception(self, out: Any, test: doctest.DocTest, example: doctest.Example, exc_info: Any) -> None:
        self.fault = self.fault or say(exc_info[1])


def run_doctest(code: str, names: dict[str, Any]) -> tuple[bool, str]:
    """A case of a test file in otter's usual format."""
    test = doctest.DocTest([e for e in doctest.DocTestParser().parse(code) if isinstance(e, doctest.Example)], names, "check", None, None, code)
    runner = Runner(verbose=False, optionflags=doctest.FAIL_FAST)
    failed = runner.run(test, out=lambda text: None, clear_globs=False).failed
    return failed == 0, runner.fault


def run_function(source: str, index: int, names: dict[str, Any]) -> tuple[bool, str]:
    """A case of a test file in otter's other format: a decorated function that raises."""
    import inspect

    space: dict[str, Any] = {}
    exec(compile(source, "checks", "exec", dont_inherit=True), space)
    case = [value for value in space.values() if type(value).__name__ == "test_case"][index]
    wanted = inspect.signature(case.function).parameters
    try:
        case.function(**{name: names if name == "env" else names.get(name) for name in wanted})
    except Exception as error:
        return False, say(error)
    return True, ""


def _names(code: str) -> set[str]:
    try:
        return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    except SyntaxError:
        return set()


def names_in(request: dict[str, Any], names: dict[str, Any]) -> set[str]:
    """The names of the notebook that a check reads."""
    if request["format"] == "doctest":
        return set().union(*(_names(example.source) for example in doctest.DocTestParser().get_examples(request["code"])))
    cases = [node for node in ast.parse(request["source"]).body if isinstance(node, ast.FunctionDef) and "test_case" in map(_called, node.decorator_list)]
    given = {argument.arg for argument in [*cases[request["index"]].args.args, *cases[request["index"]].args.kwonlyargs]}
    return set(names) if "env" in given else given


def _called(node: ast.expr) -> str:
    return getattr(getattr(node, "func", node), "id", "")


def genuine(where: str) -> Any:
    """The object named ``module`` or ``module:attribute``."""
    module, _, attribute = where.partition(":")
    value = importlib.import_module(module)
    return getattr(value, attribute) if attribute else value


def spelling(number: Any) -> str:
    """One spelling per student number, as deeplimits.coursework has it; empty where it is none."""
    if isinstance(number, bool) or not (isinstance(number, (int, str)) or hasattr(number, "__index__")):
        return ""
    text = str(number).strip().casefold()
    return (text.lstrip("0") or "0") if text.isdecimal() else text


class Checks:
    """Runs checks against a student's names."""

    def __init__(self, guard: Guard, helpers: dict[str, str], given: dict[str, Any]) -> None:
        self.guard, self.given = guard, given
        self.helpers: dict[str, Any] = {}
        for name, where in helpers.items():
            try:
                value = genuine(where)
            except (ImportError, AttributeError):
                continue
            if isinstance(value, types.ModuleType) or getattr(value, "__module__", "") == "deeplimits.coursework":
                self.helpers[name] = value          # never a name that a question may ask to define

    def copy(self, names: dict[str, Any], used: set[str], student: str) -> tuple[dict[str, Any], list[str], list[str]]:
        """The names for a check, which of them had got another meaning, and which look like an attempt to deceive."""
        space, other, deceits = dict(names), [], []
        for name in sorted(used):
            if name in self.helpers:
                if name in space and space[name] is not self.helpers[name]:
                    (other if _innocent(space[name]) else deceits).append(name)
                space[name] = self.helpers[name]
            elif name in self.given:
                if name in space and not same(space[name], self.given[name]):
                    other.append(name)
                space[name] = self.given[name]
            elif shadows(name, space):
                del space[name]
                other.append(name)
            elif name in space and poses(space[name]):
                deceits.append(name)
                space[name] = ...
        space["__builtins__"] = builtins
        if student and spelling(space.get("student")) != spelling(student):
            space["student"] = int(student) if student.isdecimal() else student
        return space, other, deceits

    def run(self, names: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        """One check; what came of it, and what was found changed before and after."""
        code, number = request["code"], spelling(names.get("student"))
        before = self.guard.repair()
        space, other, deceits = self.copy(names, names_in(request, names), request["student"])
        if request["format"] == "doctest":
            passed, message = run_doctest(code, space)
        else:
            passed, message = run_function(request["source"], request["index"], space)
        during = self.guard.repair()
        if during:
            passed, message = False, "the answer changes the checks while they run"
        return {"passed": passed, "message": message, "number": number, "changed": sorted({*before, *during})[:20], "other": other, "deceits": deceits}


def _innocent(value: Any) -> bool:
    """Another real module or a plain value under a known name is clumsy, an imitation is not."""
    if isinstance(value, types.ModuleType):
        return bool(getattr(value, "__spec__", None)) and "site-packages" in (getattr(value, "__file__", None) or "")
    return isinstance(value, (int, float, complex, str, list, tuple, dict)) or type(value).__module__.split(".")[0] in ("numpy", "torch")
