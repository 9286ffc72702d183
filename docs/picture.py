#!/usr/bin/env python3
"""Draws what a terminal shows as an SVG: `CLICOLOR_FORCE=1 picket demo | docs/picture.py 45 > docs/demo.svg`.

The number is how many lines are drawn; the rest is left out under a line that says so.
"""
import html
import re
import sys

COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#f2cc60"}
WIDTH, HEIGHT, LEFT, TOP = 7.8, 18, 16, 44


def spans(line):
    """Yields (text, css) for each run of text in one style."""
    colour, bold, dim = "#e6edf3", False, False
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        codes = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not codes:
            if part:
                weight = "font-weight:bold;" if bold else ""
                yield part, f"fill:{'#8b949e' if dim else colour};{weight}"
            continue
        for code in (codes[1] or "0").split(";"):
            if code == "0":
                colour, bold, dim = "#e6edf3", False, False
            elif code == "1":
                bold = True
            elif code == "2":
                dim = True
            else:
                colour = COLOURS.get(code, colour)


def main():
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    lines = sys.stdin.read().splitlines()
    rest = len(lines) - wanted
    lines = lines[:wanted] + ([f"\x1b[2m… and {rest} more lines\x1b[0m"] if rest > 0 else [])
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    width = int(max(map(len, plain), default=80) * WIDTH) + 2 * LEFT
    height = len(lines) * HEIGHT + TOP + 12
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">')
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>')
    for number, colour in enumerate(["#ff5f57", "#febc2e", "#28c840"]):
        print(f'<circle cx="{20 + number * 20}" cy="18" r="6" fill="{colour}"/>')
    print('<g style="font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre">')
    for number, line in enumerate(lines):
        column, y = 0, TOP + number * HEIGHT + 4
        for text, css in spans(line):
            x, long = LEFT + column * WIDTH, len(text) * WIDTH
            column += len(text)
            if text.strip():
                print(f'<text x="{x:.1f}" y="{y}" textLength="{long:.1f}" style="{css}" xml:space="preserve">{html.escape(text)}</text>')
    print("</g></svg>")


main()
