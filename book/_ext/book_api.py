"""The pages of the package show what a reader calls: a parameter that begins with an underscore is left out of a signature."""
from __future__ import annotations

import inspect

from sphinx.util.inspect import signature, stringify_signature


def public(app, what, name, obj, options, arguments, result):
    """The signature without private parameters; None leaves it as it is."""
    if what != "class" or not arguments or "_" not in arguments:
        return None
    try:
        found = signature(obj)
    except (TypeError, ValueError):
        return None
    shown = [p for p in found.parameters.values() if not p.name.startswith("_")]
    if len(shown) == len(found.parameters):
        return None
    bare = found.replace(parameters=shown, return_annotation=inspect.Signature.empty)
    return stringify_signature(bare, unqualified_typehints=True), result


def named(app, name, obj, options, bases):
    """Of a private base its public one."""
    bases[:] = [next(c for c in base.__mro__ if not c.__name__.startswith("_")) if isinstance(base, type) else base for base in bases]


def setup(app):
    app.connect("autodoc-process-signature", public)
    app.connect("autodoc-process-bases", named)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
