#!/usr/bin/env python3
"""Turns what `tmux capture-pane -e -p` printed into an SVG: the picture in the README is a real terminal.

Usage: tmux capture-pane -e -p | packaging/terminal_svg.py [TITLE] > packaging/pull.svg
"""
import html
import re
import sys

COLUMN, ROW, PAD = 8.4, 18, 14
BASIC = ["#33415c", "#ef4444", "#22c55e", "#eab308", "#38bdf8", "#c084fc", "#67e8f9", "#e2e8f0"]


def colour(codes):
    """The foreground of an SGR sequence; None: the default."""
    if codes[:2] == [38, 2]:
        return "#%02x%02x%02x" % tuple(codes[2:5])
    if codes[:2] == [38, 5]:
        return BASIC[codes[2] % 8]
    if 30 <= codes[0] <= 37:
        return BASIC[codes[0] - 30]
    if 90 <= codes[0] <= 97:
        return BASIC[codes[0] - 90]
    return None


def runs(line):
    """(column, text, colour, bold) for each piece of a line."""
    column, fill, bold = 0, None, False
    for part in re.split(r"(\x1b\[[0-9;:]*m)", line):
        if part.startswith("\x1b["):
            codes = [int(c or 0) for c in re.split("[;:]", part[2:-1])]
            while codes:
                if codes[0] in (0, 39):
                    fill, bold = (None, False if codes[0] == 0 else bold)
                elif codes[0] == 1:
                    bold = True
                elif codes[0] in (38, 48):
                    length = 5 if codes[1] == 2 else 3
                    if codes[0] == 38:
                        fill = colour(codes[:length])
                    codes = codes[length - 1:]
                else:
                    fill = colour(codes) or fill
                codes = codes[1:]
        elif part:
            yield column, part, fill, bold
            column += len(part)


def main():
    title = sys.argv[1] if len(sys.argv) > 1 else "terminal"
    lines = re.sub(r"\x1b\(B|\x0f", "", sys.stdin.read()).rstrip("\n").split("\n")
    plain = [re.sub(r"\x1b\[[0-9;:]*m", "", line).rstrip() for line in lines]
    width = round(2 * PAD + COLUMN * max(len(line) for line in plain))
    height = 2 * PAD + ROW * len(lines)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">',
           f"<title>{html.escape(title)}</title>",
           f'<rect width="{width}" height="{height}" rx="8" fill="#0f172a"/>',
           '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" fill="#e2e8f0" xml:space="preserve">']
    for row, line in enumerate(lines):
        y = PAD + ROW * row + 13
        for column, text, fill, bold in runs(line):
            if not text.strip():
                continue
            lead = len(text) - len(text.lstrip())
            text = text.strip()
            x = PAD + COLUMN * (column + lead)
            style = (f' fill="{fill}"' if fill else "") + (' font-weight="bold"' if bold else "")
            out.append(f'<text x="{x:.1f}" y="{y}" textLength="{COLUMN * len(text):.1f}"{style}>{html.escape(text)}</text>')
    print("\n".join(out + ["</g>", "</svg>"]))


main()
