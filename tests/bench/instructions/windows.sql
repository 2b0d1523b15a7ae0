-- Before each call of a path (pgbench): :n calls that warm the backend up, :n that warm callgrind up, then three times a window of :n calls and one of 3 * :n. What is in
-- both but the calls, the statement that ends them, is the same, so that their difference is 2 * :n calls. Window 0 is what came before.
\set number :number + 1
\set counted :number - 2 * :n - 1
\if :number = :n + 1
select bench.follow_instructions();
\elif :counted = 0
-- Usage is flushed every 5 s: now, and not in a window.
select nebula.flush();
\endif
\if :counted >= 0 and (mod(:counted, 4 * :n) = 0 or mod(:counted, 4 * :n) = :n)
\set window :window + 1
select bench.write_instructions(:name || '/' || :window);
\endif
