"""The bibliography has no labels such as *AK22*: the text names author and year, and the list follows the authors.

Sphinx would make a list without labels too, of the kind *bullet*, but nothing could then be cited from it.
"""
from __future__ import annotations

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform


def item(work: nodes.citation) -> nodes.list_item:
    """A work as an item of a list; links lead to its paragraph, which is what a tip shows."""
    entry = next(work.findall(nodes.paragraph))
    entry["ids"] = [*work["ids"], *entry["ids"]]
    return nodes.list_item("", entry)


class Unlabelled(SphinxPostTransform):
    default_priority = 6                        # just after the works have been put in

    def run(self, **options):
        around = {id(work.parent): work.parent for work in self.document.findall(nodes.citation)}
        for group in around.values():
            group.replace_self(nodes.bullet_list("", *[item(work) for work in group.children], ids=group["ids"]))


def setup(app):
    app.add_post_transform(Unlabelled)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
