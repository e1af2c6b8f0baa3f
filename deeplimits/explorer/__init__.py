"""Explorers: a labelled result with a slider for each of its dimensions (*Using this book*).

One figure serves the printed page, the online book and the live notebook. Its first frame is a picture that needs no
script; its data travel as JSON inside the figure; ``explorer.js``, the same file everywhere, moves it.
"""

from __future__ import annotations

from pathlib import Path

from deeplimits.explorer.explorer import STATIC, Explorer, explore

#: The one script of all explorers: a site copies it once and loads it, as a module, on pages with ``data-explorer=``.
SCRIPT = Path(__file__).with_name("explorer.js")

__all__ = ["SCRIPT", "STATIC", "Explorer", "explore"]
