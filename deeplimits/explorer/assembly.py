"""The one script of all explorers, put together from its modules (*Using this book*).

Each file in ``js/`` is a module by itself; a page and a widget get them as one file, so that nothing has to be fetched twice.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

#: The modules, each after those it needs.
PARTS = ("words", "curves", "maps", "surfaces", "formulas", "explorer")


@cache
def script() -> str:
    """The script: a site writes it to a file and loads it, as a module, on pages with ``data-explorer=``.

    Example:
        >>> "export function mountAll" in script()
        True
    """
    folder = Path(__file__).with_name("js")
    text = "\n".join((folder / f"{name}.js").read_text(encoding="utf8") for name in PARTS)
    text = re.sub(r"^(import .*| *//.*|)\n", "", text, flags=re.M)           # what only a reader of the source needs
    return re.sub(r"^ +", "", re.sub(r" +// [^`\"\n]*$", "", text, flags=re.M), flags=re.M)
