r"""Figures with one visual language and a description for those who do not see them (*Using this book*).

The functions draw labelled results on matplotlib axes; :func:`show` puts the figure on the page as inline SVG whose ink
is the colour of the text around it and which carries its alternative text. ``CURVES`` (in this order), ``PREDICTED`` and
``INK`` are the colours of curves, of what a theory predicts and of axes, in figures and explorers alike.
"""

from __future__ import annotations

from deeplimits.explorer.palette import CURVES, INK, PREDICTED
from deeplimits.plots.curves import family, profile, relative_width
from deeplimits.plots.description import describe
from deeplimits.plots.page import STYLE, Picture, show, use_style

__all__ = ["CURVES", "INK", "PREDICTED", "STYLE", "Picture", "describe", "family", "profile", "relative_width", "show", "use_style"]
