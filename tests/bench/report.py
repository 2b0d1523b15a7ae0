"""Makes a Markdown table (to standard output) and a bar chart (SVG) of a bench's result.tsv: what, value, beside, value, unit, aim."""

import html
import sys

BAR, LEFT, WIDTH = 16, 300, 420


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def is_met(ratio, aim):
    """Whether a ratio is what was aimed at; None where there is no aim."""
    if not aim:
        return None
    sign, bound = aim.split()
    return ratio >= float(bound) if sign == ">=" else ratio <= float(bound)


def table(rows):
    yield "| what | | beside | | ratio | aim | met |"
    yield "|---|---|---|---|---|---|---|"
    for what, value, beside, other, unit, aim in rows:
        ratio = value / other
        met = {True: "yes", False: "**no**", None: ""}[is_met(ratio, aim)]
        shown = aim.replace(">=", "≥").replace("<=", "≤") or "–"
        yield f"| {what} | {number(value)} {unit} | {beside} | {number(other)} {unit} | {ratio:.2f} | {shown} | {met} |"


def chart(title, rows):
    """Each pair as two bars on a scale of its own, since units differ."""
    step = 2 * BAR + 22
    height = 40 + step * len(rows)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 130} {height}" font-family="system-ui, sans-serif" font-size="12">'
        "<style>text{fill:#1f2937}.n{fill:#4f46e5}.o{fill:#9ca3af}@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.n{fill:#818cf8}}</style>"
    )
    yield f'<text x="8" y="20" font-size="14" font-weight="600">{html.escape(title)}</text>'
    for index, (what, value, beside, other, unit, _) in enumerate(rows):
        top = 36 + index * step
        for offset, name, amount, style in ((0, what, value, "n"), (BAR + 2, beside, other, "o")):
            y = top + offset
            length = WIDTH * amount / max(value, other)
            name = html.escape(name.replace("`", ""))
            fit = f' textLength="{LEFT - 16}" lengthAdjust="spacingAndGlyphs"' if len(name) > 52 else ""
            yield f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end"{fit}>{name}</text>'
            yield f'<rect class="{style}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
            yield f'<text x="{LEFT + length + 6:.1f}" y="{y + 12}">{number(amount)} {html.escape(unit)}</text>'
    yield "</svg>"


def main(title, source, picture):
    with open(source, encoding="utf-8") as file:
        cells = [line.rstrip("\n").split("\t") for line in file]
    rows = [(what, float(value), beside, float(other), unit, aim) for what, value, beside, other, unit, aim in cells]
    print("\n".join(table(rows)))
    with open(picture, "w", encoding="utf-8") as file:
        file.write("\n".join(chart(title, rows)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
