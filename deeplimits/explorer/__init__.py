"""Explorers: a labelled result with a slider for each of its dimensions (*Using this book*).

One figure serves the printed page, the online book and the live notebook. Its first frame is a picture that needs no
script; its data travel as JSON inside the figure; :func:`script`, the same everywhere, moves it.
"""

from __future__ import annotations

from deeplimits.explorer.assembly import script
from deeplimits.explorer.base import STATIC, Explorer
from deeplimits.explorer.explorer import explore
from deeplimits.explorer.formulas import formula

__all__ = ["STATIC", "Explorer", "explore", "formula", "script"]
