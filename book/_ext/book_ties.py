"""A formula within a line keeps its punctuation: browsers break a line between a box, as which it is set, and a full stop."""
from __future__ import annotations

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

OPENING, CLOSING = re.compile(r"[(\[“]+$"), re.compile(r"^[.,;:?!)\]”’]+")


def taken(around: nodes.Element, place: int, pattern: re.Pattern[str]) -> str:
    """The punctuation that ends or begins a neighbouring text, taken out of it."""
    text = around[place] if 0 <= place < len(around) else None
    found = pattern.search(text) if isinstance(text, nodes.Text) else None
    if not found:
        return ""
    around[place] = nodes.Text(text[:found.start()] + text[found.end():])      # by its place: an equal text may stand before it
    return found[0]


class Tie(SphinxPostTransform):
    default_priority = 900                      # after references have their text
    formats = ("html",)

    def run(self, **kwargs: object) -> None:
        for formula in list(self.document.findall(nodes.math)):
            around, place = formula.parent, formula.parent.index(formula)
            if isinstance(around, nodes.literal):
                continue
            before, after = taken(around, place - 1, OPENING), taken(around, place + 1, CLOSING)
            if before or after:
                tied = nodes.inline(classes=["tied"])
                around[place] = tied
                tied += [part for part in (nodes.Text(before), formula, nodes.Text(after)) if part.astext()]


def setup(app):
    app.add_post_transform(Tie)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
