"""Makes a Markdown table (to standard output) and a bar chart (SVG) of a bench's result.tsv: what, samples, beside, samples, unit, aim. Samples are named as in samples.tsv; a number stands for itself."""

import collections
import html
import statistics
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


class Row:
    """What is measured and what it is beside, as medians, and how they compare: the ratio of each round, of which the median counts."""

    def __init__(self, samples, what, own, beside, other, unit, aim):
        self.what, self.beside, self.unit, self.aim = what, beside, unit, aim
        own, other = (samples.get(name) or [float(name)] for name in (own, other))
        self.value, self.other = statistics.median(own), statistics.median(other)
        pairs = zip(own, other, strict=True) if len(own) == len(other) else [(self.value, self.other)]
        self.ratios = sorted(one / another for one, another in pairs)

    @property
    def ratio(self):
        return statistics.median(self.ratios)

    @property
    def spread(self):
        """From the least to the greatest, where there were rounds."""
        return f" ({self.ratios[0]:.2f}–{self.ratios[-1]:.2f})" if len(self.ratios) > 2 else ""


def table(rows):
    yield "| what | | beside | | ratio (of all rounds) | aim | met |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        met = {True: "yes", False: "**no**", None: ""}[is_met(row.ratio, row.aim)]
        shown = row.aim.replace(">=", "≥").replace("<=", "≤") or "–"
        values = f"{number(row.value)} {row.unit} | {row.beside} | {number(row.other)} {row.unit}"
        yield f"| {row.what} | {values} | {row.ratio:.2f}{row.spread} | {shown} | {met} |"


def chart(title, rows):
    """Each pair as two bars on a scale of its own, since units differ."""
    step = 2 * BAR + 22
    height = 40 + step * len(rows)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 130} {height}" font-family="system-ui, sans-serif" font-size="12">'
        "<style>text{fill:#1f2937}.n{fill:#4f46e5}.o{fill:#9ca3af}@media(prefers-color-scheme:dark){text{fill:#e5e7eb}.n{fill:#818cf8}}</style>"
    )
    yield f'<text x="8" y="20" font-size="14" font-weight="600">{html.escape(title)}</text>'
    for index, row in enumerate(rows):
        top = 36 + index * step
        for offset, name, amount, style in ((0, row.what, row.value, "n"), (BAR + 2, row.beside, row.other, "o")):
            y = top + offset
            length = WIDTH * amount / max(row.value, row.other)
            name = html.escape(name.replace("`", ""))
            fit = f' textLength="{LEFT - 16}" lengthAdjust="spacingAndGlyphs"' if len(name) > 52 else ""
            yield f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end"{fit}>{name}</text>'
            yield f'<rect class="{style}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
            yield f'<text x="{LEFT + length + 6:.1f}" y="{y + 12}">{number(amount)} {html.escape(row.unit)}</text>'
    yield "</svg>"


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def main(title, results, samples, picture):
    by_name = collections.defaultdict(list)
    for name, value in lines(samples):
        by_name[name].append(float(value))
    rows = [Row(by_name, *cells) for cells in lines(results)]
    print("\n".join(table(rows)))
    with open(picture, "w", encoding="utf-8") as file:
        file.write("\n".join(chart(title, rows)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
