# Makes of install scripts what may run over an installation of an older version: `awk -f update.awk OLDER_INSTALL_SCRIPT FILE…`.
#
# Functions, procedures and views are replaced; Postgres refuses to replace what is no member of the extension. What can't be replaced (types, operators, casts,
# event triggers …) is made where the older version has none of that name, and left alone where it has: a change of one is written by hand, in sql/updates/.
# Everything else (comments, do blocks, grants) is written so that it may run again.

function is_single(line) { return line ~ /^create (type|domain|aggregate|operator|cast|event trigger|collation|sequence|access method|operator class)[ (]/ }

# What a statement makes, by its first line: `create type nebula.status`.
function made(line) { sub(/ (as|on|using|from)( .*)?$/, "", line); sub(/[ (;]*$/, "", line); return line }

FILENAME == ARGV[1] {
  if (is_single($0)) known[made($0)] = 1
  next
}

skipping { if (/;[ \t]*$/) skipping = 0; next }

/^create (function|procedure|view) / { sub(/^create /, "create or replace ") }

is_single($0) && made($0) in known { if (!/;[ \t]*$/) skipping = 1; next }

{ print }
