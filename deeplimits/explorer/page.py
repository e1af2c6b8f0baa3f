"""The figure around an explorer's picture: style, title, controls, legend, reading line, summary, data (*Using this book*)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from deeplimits.explorer import wording
from deeplimits.explorer.frames import Control
from deeplimits.explorer.picture import KEYS


@dataclass(frozen=True)
class Reader:
    """A slider that reads values off the picture: its words and how many places it knows."""

    label: str
    count: int


@dataclass(frozen=True)
class Turn:
    """A slider that turns the picture, in degrees."""

    label: str
    low: int
    high: int
    step: int
    value: int


def style() -> str:
    """The style sheet of explorers, which every figure brings along."""
    return Path(__file__).with_name("explorer.css").read_text(encoding="utf8")


def _control(control: Control, i: int) -> str:
    if control.numeric:
        field = (f'<input type="range" min="0" max="{len(control.texts) - 1}" step="1" value="{i}" '
                 f'aria-valuetext="{escape(control.texts[i])}" {KEYS}>')
        value = f'<b aria-hidden="true">{escape(control.texts[i])}</b>'
    else:
        options = "".join(f"<option{' selected' if k == i else ''}>{escape(t)}</option>" for k, t in enumerate(control.texts))
        field, value = f"<select {KEYS}>{options}</select>", ""
    return f'<div data-control="{escape(control.name)}"><label><span>{wording.html(control.label)}</span> {field}</label>{value}</div>'


def _turn(turn: Turn) -> str:
    field = (f'<input type="range" min="{turn.low}" max="{turn.high}" step="{turn.step}" value="{turn.value}" '
             f'aria-valuetext="{turn.value}°" {KEYS}>')
    return f'<div data-turn=""><label><span>{escape(turn.label)}</span> {field}</label><b aria-hidden="true">{turn.value}°</b></div>'


def _reader(reader: Reader) -> str:
    return (f'<label><span>{wording.html(reader.label)}</span> <input type="range" data-reader="" min="0" max="{reader.count - 1}" step="1" '
            f'value="{reader.count // 2}" {KEYS}></label>')


def figure(id: str, title: str, controls: Sequence[Control], state: Sequence[int], legend: str, picture: str,
           readers: Sequence[Reader], turns: Sequence[Turn], summary: str, longest: str, data: str) -> str:
    """The whole figure as HTML."""
    fields = "".join(_control(c, i) for c, i in zip(controls, state, strict=False)) + "".join(_turn(t) for t in turns)
    reading = "".join(_reader(r) for r in readers)
    return (f'<figure class="dl-explorer" data-explorer="{escape(id)}"><style>{style()}</style>'
            f"<figcaption>{wording.html(title)}</figcaption>"
            f'<div class="dl-controls">{fields}</div><ul class="dl-legend">{legend}</ul>{picture}'
            f'<div class="dl-reader">{reading}<span data-reading="" aria-hidden="true"></span></div>'
            f'<div class="dl-summary" data-longest="{escape(longest)}"><output>{wording.html(summary)}</output></div>'
            f'<script type="application/json">{data}</script></figure>')
