r"""Figures with one visual language and a description for those who do not see them (*Using this book*).

The functions draw labelled results on matplotlib axes; :func:`show` puts the figure on the page as inline SVG whose ink
is the colour of the text around it and which carries its alternative text.
"""

from __future__ import annotations

from deeplimits.plots.curves import family, profile, relative_width
from deeplimits.plots.description import describe
from deeplimits.plots.page import STYLE, Picture, show, use_style

__all__ = ["STYLE", "Picture", "describe", "family", "profile", "relative_width", "show", "use_style"]
