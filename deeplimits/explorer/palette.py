"""Colours and dashes with a fixed meaning, shared by explorers and figures (*Using this book*).

Each colour has a contrast of at least 3:1 against white and against the dark scheme's background, so one palette serves
both schemes. No single colour can reach 4.5:1 against both: text therefore takes the colour of the text around it.
The first three curves and the prediction stay apart for colour-blind readers too; beyond three, dashes must help.
"""

from __future__ import annotations

from collections.abc import Sequence

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

#: From little to much: viridis (van der Walt and Smith, 2015), in sixteen points; matplotlib draws the same in the figures.
SEQUENTIAL = ("#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e", "#2a788e", "#23888e",
              "#1f988b", "#22a884", "#35b779", "#54c568", "#7ad151", "#a5db36", "#d2e21b", "#fde725")
#: Below and above a middle: the blue of the first curve, a light middle, the orange of predictions.
DIVERGING = ("#0a3a61", "#1b7fc4", "#8fbfe3", "#e8eaec", "#f2b48a", "#d55e00", "#6b2f00")


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


def ramp(anchors: Sequence[str], count: int) -> list[str]:
    """So many colours at even distances along the anchors.

    Example:
        >>> ramp(["#000000", "#ffffff"], 3)
        ['#000000', '#808080', '#ffffff']
    """
    channels = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in anchors]
    out = []
    for k in range(count):
        place = k * (len(anchors) - 1) / (count - 1)
        i = min(int(place), len(anchors) - 2)
        mixed = [a + (b - a) * (place - i) for a, b in zip(channels[i], channels[i + 1], strict=True)]
        out.append("#" + "".join(f"{int(v + 0.5):02x}" for v in mixed))
    return out
