"""Makes a chart (SVG) of samples.tsv: kind, requests a second, and the percentiles 50, 99 and 99.9 in milliseconds. A panel a kind; the height is logarithmic."""

import html
import math
import sys

PANEL, HEIGHT, LEFT, TOP, GAP = 230, 220, 66, 52, 40
LINES = ("50 %", "99 %", "99.9 %")
STYLE = (
    "text{fill:#1f2937}.grid{stroke:#d1d5db;stroke-width:1}.l0{stroke:#4f46e5;fill:#4f46e5}.l1{stroke:#0d9488;fill:#0d9488}.l2{stroke:#d97706;fill:#d97706}"
    "polyline{fill:none!important;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.grid{stroke:#4b5563}}"
)


def chart(title, kinds):
    values = [value for rows in kinds.values() for _, *values in rows for value in values]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    high = high if high > low else low * 10
    width = LEFT + len(kinds) * (PANEL + GAP)

    def y(value):
        return TOP + HEIGHT * (1 - math.log(value / low) / math.log(high / low))

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 44}" font-family="system-ui, sans-serif" font-size="12">'
        f"<style>{STYLE}</style>"
    )
    yield f'<text x="8" y="20" font-size="14" font-weight="600">{html.escape(title)}</text>'
    for index, name in enumerate(LINES):
        yield f'<circle class="l{index}" cx="{width - 190 + index * 62}" cy="16" r="4"/><text x="{width - 182 + index * 62}" y="20">{name}</text>'
    for panel, (kind, rows) in enumerate(kinds.items()):
        left = LEFT + panel * (PANEL + GAP)
        most = max(rate for rate, *_ in rows) * 1.1
        step = low
        while step <= high * 1.01:
            label = f'<text x="{left - 6}" y="{y(step) + 4:.1f}" text-anchor="end">{step:g} ms</text>' if panel == 0 else ""
            yield f'<line class="grid" x1="{left}" x2="{left + PANEL}" y1="{y(step):.1f}" y2="{y(step):.1f}"/>{label}'
            step *= 10
        yield f'<text x="{left}" y="{TOP - 8}" font-weight="600">{html.escape(kind)}</text>'
        for rate, *_ in rows:
            yield f'<text x="{left + PANEL * rate / most:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{rate:,.0f}/s</text>'
        for index in range(len(LINES)):
            points = [(left + PANEL * row[0] / most, y(row[1 + index])) for row in rows]
            yield f'<polyline class="l{index}" points="{" ".join(f"{px:.1f},{py:.1f}" for px, py in points)}"/>'
            yield "".join(f'<circle class="l{index}" cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in points)
    yield "</svg>"


def main(title, source, picture):
    kinds = {}
    with open(source, encoding="utf-8") as file:
        for line in file:
            kind, *numbers = line.rstrip("\n").split("\t")
            kinds.setdefault(kind, []).append(tuple(map(float, numbers)))
    with open(picture, "w", encoding="utf-8") as file:
        file.write("\n".join(chart(title, {kind: sorted(rows) for kind, rows in kinds.items()})) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
