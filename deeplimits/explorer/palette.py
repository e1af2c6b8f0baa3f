"""Colours and dashes with a fixed meaning, shared by explorers and figures (*Using this book*).

Each colour has a contrast of at least 3:1 against white and against the dark scheme's background, so one palette serves
both schemes. No single colour can reach 4.5:1 against both: text therefore takes the colour of the text around it.
"""

from __future__ import annotations

WHITE, DARK = "#ffffff", "#14181e"

#: Measured curves, in this order; the hues are those of Okabe and Ito (2008), at a lightness that both schemes bear.
CURVES = ("#1b7fc4", "#00956d", "#c66a9d", "#a17a12", "#8672d9", "#6f8795")
#: What a theory predicts, everywhere in the book.
PREDICTED = "#d55e00"
#: Axes and text of a figure that cannot take the colour of its surroundings.
INK = "#767b80"
#: Dash patterns of the curves, in the same order, so that colour never stands alone.
DASHES = ("", "9 4", "2 3", "9 3 2 3", "5 2", "14 3")
PREDICTED_DASH = "6 4"


def luminance(colour: str) -> float:
    """Relative luminance of a colour ``#rrggbb``, between 0 (black) and 1 (white).

    Source:
        Web Content Accessibility Guidelines 2.2 (2023), definition of relative luminance.

    Example:
        >>> luminance("#ffffff")
        1.0
    """
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, between 1 and 21.

    Source:
        Web Content Accessibility Guidelines 2.2 (2023), definition of contrast ratio.

    Example:
        >>> round(contrast("#000000", "#ffffff"))
        21
    """
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)
