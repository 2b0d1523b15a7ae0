"""Reads what callgrind writes (https://valgrind.org/docs/manual/cl-format.html)."""

import collections
import re

REFERENCE = re.compile(r"\((\d+)\)(?: (.*))?$")
# Frames that only pass calls on, and functions whose name was stripped: what they cost is their caller's.
PASSES_ON = re.compile(r"0x[0-9a-f]+$|\(below main\)|pgrx_pg_sys::submodules::|pgrx_pg_sys::include::|cee_scape::|core::ops::function::|<alloc::boxed::Box|.*_internal_wrapper$|.*call_once")


def named(text, names):
    number, name = REFERENCE.match(text).groups()
    if name is not None:
        names[number] = name
    return names[number]


def stacks(path):
    """Self cost by way, from the outermost function to the one that it was spent in. The file must have been counted apart by callers."""
    found = collections.Counter()
    names, function, is_call = {}, None, False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("fn="):
                function = named(line[3:].rstrip("\n"), names)
            elif line.startswith("cfn="):
                named(line[4:].rstrip("\n"), names)
            elif line.startswith("calls="):
                is_call = True
            elif line[0].isdigit() or line[0] in "+-*":
                # The line after calls= is what the call cost altogether.
                if not is_call:
                    found[function] += int(line.split()[1])
                is_call = False
    ways = collections.Counter()
    for name, cost in found.items():
        ways[way(name)] += cost
    return ways


def way(name):
    """`leaf'caller'its caller`, with a number after a function that is its own caller, as a tuple from the outermost on."""
    frames = [frame for frame in reversed(name.split("'")) if not frame.isdigit()]
    return tuple(frame for frame in frames if not PASSES_ON.match(frame)) or (frames[0],)
