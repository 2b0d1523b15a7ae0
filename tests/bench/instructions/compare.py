"""Instructions a call, from what callgrind wrote (count.sh), beside a baseline.

    compare.py COUNTS BASELINE          prints the table; exits with 1 where a path is more than 3 % off
    compare.py COUNTS BASELINE --write  writes the baseline first

COUNTS has a folder a round. What machine and compilers are is read from standard input, a line each: what was counted with others can't be compared.
"""

import collections
import pathlib
import re
import statistics
import sys

BOUND = 0.03
WINDOW = re.compile(r"^desc: Trigger: (?:Client Request: |dump )(\S+)/(\d+)$", re.M)
SUMMARY = re.compile(r"^summary: (\d+)", re.M)


def table_of(text):
    return {path: int(count) for path, count in (line.split("\t") for line in text.splitlines() if not line.startswith("#"))}


def of_round(folder):
    """By path, instructions of one call: windows of n and of 3 * n calls (odd and even) differ by nothing else. Medians, since usage may be flushed within one."""
    windows = collections.defaultdict(lambda: {"few": [], "many": []})
    for file in folder.glob("*.*.*"):
        text = file.read_text(encoding="utf-8", errors="replace")
        path, number = WINDOW.search(text).groups()
        if number != "0":
            windows[path]["few" if int(number) % 2 else "many"].append(int(SUMMARY.search(text)[1]))
    calls = table_of((folder / "calls.tsv").read_text(encoding="utf-8"))
    if missing := calls.keys() - windows.keys():
        sys.exit(f"callgrind wrote no count of {', '.join(sorted(missing))}")
    median = statistics.median
    return {path: (median(windows[path]["many"]) - median(windows[path]["few"])) / calls[path] for path in calls}


def write(baseline, found, environment):
    lines = [
        "# Instructions a call. Written by `make bench-instructions-baseline`; `make test` fails where a path is more than 3 % off, in either direction.",
        *(f"# {line}" for line in environment),
        *(f"{path}\t{statistics.median(samples):.0f}" for path, samples in found.items()),
    ]
    baseline.write_text("\n".join(lines) + "\n", encoding="utf-8")


def compare(baseline, found, environment):
    """Prints the table; whether nothing that can be compared is off."""
    text = baseline.read_text(encoding="utf-8") if baseline.exists() else ""
    before = table_of(text)
    off = sorted(before.keys() - found.keys())
    print("| path | baseline | now | change | spread |\n|---|---|---|---|---|")
    for path, samples in found.items():
        now = statistics.median(samples)
        change = now / before[path] - 1 if path in before else None
        if change is None or abs(change) > BOUND:
            off.append(path)
        shown = "new" if change is None else f"{change:+.1%}"
        spread = f"{(max(samples) - min(samples)) / now:.2%}" if len(samples) > 1 else "–"
        print(f"| {path} | {before.get(path, 0):,} | {now:,.0f} | {shown} | {spread} |")
    other = [line for line in environment if f"# {line}" not in text.splitlines()]
    if other:
        print("\nNOT COMPARED: the baseline was counted with something else than\n  " + "\n  ".join(other), file=sys.stderr)
        return True
    if off:
        print(
            f"\nmore than {BOUND:.0%} off the baseline, new or gone: {', '.join(off)}\n"
            "Where that is meant, an improvement too, write it down: make bench-instructions-baseline",
            file=sys.stderr,
        )
    return not off


def main(counts, baseline, *options):
    environment = sys.stdin.read().splitlines()
    rounds = [of_round(folder) for folder in sorted(pathlib.Path(counts).iterdir())]
    found = {path: [counted[path] for counted in rounds] for path in rounds[0]}
    baseline = pathlib.Path(baseline)
    if "--write" in options:
        write(baseline, found, environment)
    return 0 if compare(baseline, found, environment) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
