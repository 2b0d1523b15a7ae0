"""Where the instructions of a path go: tables by step of our pipeline and by part of Postgres, and a flame graph (SVG).

    profile.py COUNTS OUT   for each path in COUNTS (count.sh, counted apart by callers): OUT/PATH.md, OUT/PATH.svg and OUT/PATH.folded
"""

import collections
import pathlib
import re
import statistics
import sys

import callgrind
import compare
import flame

# What an instruction belongs to: the innermost function of its way that is on the list.
STEPS = [
    ("credential, session", r"nebula::kernel::authenticate::"),
    ("rate limits, quotas", r"nebula::kernel::limit::"),
    ("permission", r"nebula::kernel::(permission|rights)::"),
    ("audit", r"nebula::kernel::audit::|audit_change_wrapper"),
    ("event", r"nebula::kernel::outbox::|emit_event_wrapper"),
    ("idempotency key, kept answer", r"nebula::kernel::idempotency::"),
    ("usage", r"nebula::kernel::usage::"),
    ("handler", r"nebula::domain::"),
    ("request and answer as JSON, the rest of `handle`", r"handle_wrapper|nebula::entry::handle"),
    ("call of a C function, its settings", r"fmgr_security_definer|ExecMakeTableFunctionResult"),
    ("commit", r"CommitTransactionCommand"),
    ("the statement itself: protocol, portal, executor", r""),
]
EDGE_STEPS = [
    ("signature of the token", r"nebula_core::access_token::Unverified::verify"),
    ("credential", r"nebula_edge::auth::"),
    ("statement to the database and its answer", r"nebula_edge::db::|<?tokio_postgres::|<?deadpool"),
    ("request log", r"nebula_edge::http::request_log::|<?tracing"),
    ("pipeline: route, inputs, request as JSON, answer", r"nebula_edge::"),
    ("HTTP: connection, router, layers", r"<?hyper|<?axum|<?tower|<?http"),
    ("runtime", r""),
]
PARTS = [
    ("CHECK constraints", r"ExecConstraints"),
    ("foreign keys", r"RI_FKey_"),
    ("WAL", r"XLogInsert|XLogFlush"),
    ("index insertion", r"ExecInsertIndexTuples|index_insert"),
    ("index look-up", r"index_getnext_slot|index_beginscan|index_rescan|index_endscan"),
    ("row into the table", r"heap_(multi_)?insert|heap_update|heap_lock_tuple|heap_delete"),
    ("settings of functions (GUC)", r"set_config_option|ProcessGUCArray|AtEOXact_GUC"),
    ("locks", r"LockAcquire|LockRelease|ProcReleaseLocks|LWLock"),
    ("building JSON in SQL", r"jsonb?_build_object|jsonb?_agg|jsonb_concat|jsonb?_object_agg|row_to_json|to_jsonb?$|jsonb?_in$|jsonb?_out$"),
    ("SHA-256", r"sha2::"),
    ("plan: look it up, check it, make it", r"GetCachedPlan|SPI_plan_get_cached_plan|pg_plan_quer|pg_analyze|pg_parse_query|exec_parse_message"),
    ("executor: start", r"ExecutorStart"),
    ("executor: end", r"ExecutorEnd"),
    ("triggers", r"AfterTrigger|ExecutorFinish|ExecBRInsertTriggers|ExecASInsertTriggers"),
    ("executor: run", r"ExecutorRun"),
    ("SPI", r"SPI_"),
    ("portal", r"Portal"),
    ("commit", r"CommitTransactionCommand"),
    ("our Rust", r"nebula::|nebula_core::|_wrapper$|serde_json::|<?serde"),
    ("protocol", r""),
]
EDGE_PARTS = [("RSA", r"aws_lc\w+_RSA_|aws_lc\w+_rsa_"), ("SHA-256", r"sha256_|sha2::|aws_lc\w+SHA256"), ("JSON", r"serde_json::|<?serde|<.*serde"), ("the rest", r"")]


def named(way, names):
    for frame in reversed(way):
        for name, pattern in names[:-1]:
            if re.match(pattern, frame):
                return name
    return names[-1][0]


def of_call(folder, path, calls):
    """Self cost of one call by way: the middle one of the windows of 3 * n calls less that of n. Less than nothing where a call costs now more, now less."""
    windows = {0: [], 1: []}
    for file in folder.glob("*.*.*"):
        text = file.read_text(encoding="utf-8", errors="replace")
        window = compare.WINDOW.search(text)
        if window[1] == path and window[2] != "0":
            windows[int(window[2]) % 2].append((int(compare.SUMMARY.search(text)[1]), file))
    few, many = (callgrind.stacks(statistics.median_low(windows[parity])[1]) for parity in (1, 0))
    return {way: (many[way] - few[way]) / calls for way in many | few}


def inclusive(ways):
    """By function, what it and all that it calls cost."""
    found = collections.Counter()
    for way, cost in ways.items():
        for frame in set(way):
            found[frame] += cost
    return found


def grid(ways, steps, parts):
    """Cost by step and part."""
    cells = collections.Counter()
    for way, cost in ways.items():
        cells[named(way, steps), named(way, parts)] += cost
    return cells


def tables(path, ways):
    total = sum(ways.values())
    steps, parts = (EDGE_STEPS, EDGE_PARTS) if path.startswith("edge.") else (STEPS, PARTS)
    cells = grid(ways, steps, parts)
    yield f"# {path}: {total:,.0f} instructions a call\n"
    for title, index, names in (("step", 0, steps), ("part", 1, parts)):
        yield f"| {title} | instructions | share |\n|---|---|---|"
        costs = [(sum(cost for key, cost in cells.items() if key[index] == name), name) for name in dict(names)]
        for cost, name in sorted(costs, reverse=True):
            if cost >= total / 1000:
                yield f"| {name} | {cost:,.0f} | {cost / total:.1%} |"
        yield ""
    yield "| step | part | instructions | share |\n|---|---|---|---|"
    for (step, part), cost in cells.most_common(40):
        if cost >= total / 200:
            yield f"| {step} | {part} | {cost:,.0f} | {cost / total:.1%} |"
    yield "\n| function | with what it calls | share |\n|---|---|---|"
    for function, cost in inclusive(ways).most_common(150):
        yield f"| `{function}` | {cost:,.0f} | {cost / total:.1%} |"


def main(counts, out):
    counts, out = pathlib.Path(counts), pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for path, calls in compare.table_of((counts / "calls.tsv").read_text(encoding="utf-8")).items():
        ways = of_call(counts, path, calls)
        text = "\n".join(tables(path, ways)) + "\n"
        (out / f"{path}.md").write_text(text, encoding="utf-8")
        (out / f"{path}.folded").write_text("".join(f"{';'.join(way)} {cost:.0f}\n" for way, cost in sorted(ways.items()) if cost >= 1), encoding="utf-8")
        (out / f"{path}.svg").write_text(flame.graph(f"{path}: {sum(ways.values()):,.0f} instructions a call", ways), encoding="utf-8")
        print(text.split("\n| function")[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
