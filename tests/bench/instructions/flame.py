"""A flame graph (SVG) of costs by way: each function as wide as what it costs with all that it calls, its callers above it."""

import html
import zlib

WIDTH, ROW, SMALLEST = 1600, 17, 0.0008
LETTER_PX = 6.3


def tree(ways):
    root = {"cost": 0, "calls": {}}
    for way, cost in ways.items():
        if cost <= 0:
            continue
        node = root
        node["cost"] += cost
        for frame in way:
            node = node["calls"].setdefault(frame, {"cost": 0, "calls": {}})
            node["cost"] += cost
    return root


def colour(name):
    """Rust in one hue, Postgres in another; a function always has the same shade."""
    hue = 245 if "::" in name or name.endswith("_wrapper") else 28
    return f"hsl({hue} 70% {62 + zlib.crc32(name.encode()) % 22}%)"


def boxes(node, x, depth, scale, total):
    for name, callee in sorted(node["calls"].items()):
        width = callee["cost"] * scale
        if callee["cost"] >= total * SMALLEST:
            short = name if len(name) * LETTER_PX < width else name.rsplit("::", 1)[-1]
            shown = short if len(short) * LETTER_PX < width else short[: max(0, int(width / LETTER_PX) - 1)] + "…"
            title = html.escape(f"{name}: {callee['cost']:,.0f} ({callee['cost'] / total:.1%})")
            text = f'<text x="{x + 3:.1f}" y="{depth * ROW + 43}">{html.escape(shown)}</text>' if width > 24 else ""
            yield depth, f'<g><title>{title}</title><rect x="{x:.1f}" y="{depth * ROW + 31}" width="{width:.1f}" height="{ROW - 1}" fill="{colour(name)}"/>{text}</g>'
            yield from boxes(callee, x, depth + 1, scale, total)
        x += width


def graph(title, ways):
    root = tree(ways)
    drawn = list(boxes(root, 0, 0, WIDTH / root["cost"], root["cost"]))
    height = (max(depth for depth, _ in drawn) + 1) * ROW + 40
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="ui-monospace, monospace" font-size="10.5">'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/><text x="4" y="19" font-size="14" font-family="system-ui, sans-serif">{html.escape(title)}</text>'
    )
    return "\n".join([head, *(box for _, box in drawn), "</svg>"]) + "\n"
