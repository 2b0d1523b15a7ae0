"""Prints a process' memory as names and KiB, tab-separated: `private` (all that it alone has mapped) and its parts. Pages of Postgres' shared memory that no other process has
touched yet look private to Linux; they are left out, and shown as `shared_memory`."""

import sys
from collections import Counter


def part(name):
    if name.startswith(("/dev/zero", "/dev/shm/", "/SYSV", "/anon_hugepage")):
        return "shared_memory"
    # malloc's: what Rust allocates, and the blocks of Postgres' memory contexts.
    if name in ("[heap]", ""):
        return "allocated"
    if name.endswith("nebula.so"):
        return "library"
    return "server_and_rest"


def main(pid):
    parts, resident = Counter(), 0
    name = ""
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if not words[0].endswith(":"):
                name = " ".join(words[5:])
            elif words[0] in ("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:"):
                parts[part(name)] += int(words[1])
            elif words[0] == "Rss:":
                resident += int(words[1])
    print(f"resident\t{resident}")
    print(f"private\t{sum(parts.values()) - parts['shared_memory']}")
    for name in ("allocated", "library", "server_and_rest", "shared_memory"):
        print(f"{name}\t{parts[name]}")


if __name__ == "__main__":
    main(sys.argv[1])
