"""Drawings out of the figures' HTML: complete SVG files, and PNG by resvg.

A figure of a cell is complete as it stands.  An explorer gives its first frame: curves are brought to the picture's own
units, and the legend, which on the page stands beside the drawing, is written below.
"""
from __future__ import annotations

import io
import re
from html import unescape
from pathlib import Path

import matplotlib
import resvg_py
from PIL import Image

from deeplimits.explorer import wording

WIDTH = 1200                                   # pixels of a PNG
GREY, DARK = "#767b80", "#24292f"              # deeplimits.explorer.palette.INK; text on white
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
PLOT = re.compile(r'<svg data-plot="" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"( overflow="visible")? '
                  r'viewBox="0 0 (\d+) (\d+)" preserveAspectRatio="none">(.*?)</svg>', re.S)
FLIPPED = re.compile(r'<g transform="matrix\(1 0 0 -1 0 \d+\)">')
LEGEND = re.compile(r'<li>(?:<svg class="dl-key"[^>]*>(.*?)</svg>|<span class="dl-(?:band|cell)"(?: style="background:([^"]+)")?></span>)(.*?)</li>', re.S)


def plain(markup: str) -> str:
    """The words of a piece of HTML; a letter with its index as σ_w."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", markup.replace("<sub>", "_"))).split())


def flat(plot: re.Match) -> str:
    """Curves in the steps of their axes, brought to the picture's own units: not every program keeps widths fixed."""
    x0, y0, width, height, open_, columns, rows = plot.groups()[:7]
    body = plot[8]
    up = -1 if FLIPPED.search(body) else 1
    sx, sy = float(width) / float(columns), float(height) / float(rows)
    left, top = float(x0), float(y0) + (float(height) if up < 0 else 0)

    def step(m: re.Match) -> str:
        command, numbers = m[1], [float(n) for n in re.findall(r"-?[\d.]+", m[2])]
        if command in "hv":
            return f"{command}{numbers[0] * (sx if command == 'h' else up * sy):.2f}"
        return command + " ".join(f"{left + n * sx:.2f}" if k % 2 == 0 else f"{top + up * n * sy:.2f}" for k, n in enumerate(numbers))

    body = re.sub(r'(?<= d=")[^"]*', lambda d: re.sub(r"([MLhv])([-\d. ,]*)", step, d[0]), body)
    body = FLIPPED.sub("<g>", body).replace(' vector-effect="non-scaling-stroke"', "")
    if open_:
        return f"<g>{body}</g>"
    return (f'<clipPath id="plot"><rect x="{x0}" y="{y0}" width="{width}" height="{height}"/></clipPath>'
            f'<g clip-path="url(#plot)">{body}</g>')


def frame(body: str) -> str:
    """The first frame of an explorer with its legend, one line for each entry."""
    start = body.index('<svg class="dl-picture"')
    picture = body[start: body.index('<div class="dl-reader"')]
    head, inside = picture.split(">", 1)
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head).groups())
    alt = re.search(r'aria-label="([^"]*)"', head)[1]
    inside = PLOT.sub(flat, inside.rsplit("</svg>", 1)[0])
    lines = []
    for k, (line, colour, word) in enumerate(LEGEND.findall(body[:start])):
        y = height + 6 + 20 * k
        key = f'<g transform="translate(12 {y:.0f})">{line}</g>' if line else \
            f'<rect x="12" y="{y:.0f}" width="30" height="10" fill="{colour or "currentColor"}" fill-opacity="{1 if colour else .25}"/>'
        lines.append(f'{key}<text x="52" y="{y + 10:.0f}" font-size="14" fill="currentColor">{wording.svg(plain(word))}</text>')
    height += 20 * len(lines) + (8 if lines else 0)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{alt}" '
            f'font-family="DejaVu Sans, Verdana, Arial, sans-serif">{inside}{"".join(lines)}</svg>')


def drawing(body: str) -> str:
    """A complete SVG file out of the figure's HTML."""
    svg = frame(body) if "data-explorer=" in body else body[body.index("<svg"): body.rindex("</svg>") + 6]
    width, height = re.search(r'viewBox="[-\d.]+ [-\d.]+ ([\d.]+) ([\d.]+)"', svg).groups()
    svg = re.sub(r' (?:style|class|tabindex)="[^"]*"', "", svg[: svg.index(">")]) + svg[svg.index(">"):]
    return svg.replace("<svg ", f'<svg width="{width}" height="{height}" ', 1)


def unclipped(svg: str) -> str:
    """Paths that lie within the frame need no clipping, which costs the renderer a layer each: seven times faster."""
    frames = {name: [float(re.search(rf' {key}="([-\d.]+)"', rect)[1]) for key in ("x", "y", "width", "height")]
              for name, rect in re.findall(r'<clipPath id="([^"]+)">\s*<rect([^>]*)>', svg)}

    def free(found: re.Match) -> str:
        x, y, width, height = frames[found[1]]
        d = " ".join(re.findall(r'\sd="([^"]*)"', found[0]))
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", d)]
        within = all(x - 1 <= n <= x + width + 1 for n in numbers[::2]) and all(y - 1 <= n <= y + height + 1 for n in numbers[1::2])
        plain = not re.search(r"[^MLCQZz\d\s.,-]", d) and " transform=" not in found[0]
        return found[0].replace(f' clip-path="url(#{found[1]})"', "") if within and plain else found[0]

    return re.sub(r'<path\b[^>]*? clip-path="url\(#([^")]+)\)"[^>]*>', lambda m: free(m) if m[1] in frames else m[0], svg)


def png(svg: str) -> bytes:
    """Drawn on white, dark ink, few colours: exact enough, and a quarter of the size."""
    drawn = resvg_py.svg_to_bytes(svg_string=unclipped(svg).replace(GREY, DARK), background="#ffffff", width=WIDTH, skip_system_fonts=True,
                                  font_files=[str(FONT)], font_family="DejaVu Sans", sans_serif_family="DejaVu Sans")
    smaller = io.BytesIO()
    with Image.open(io.BytesIO(drawn)) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(smaller, "PNG", optimize=True)
    return smaller.getvalue()
