#!/bin/sh
# Puts the extension's files where the server of an image looks for them: Postgres' own images and Debian's, or Supabase's, whose server comes from Nix.
#
#   sh install.sh FOLDER     with nebula.so, nebula.control and nebula--*.sql in it
set -eu
from=$1
fail() { echo "install.sh: $*" >&2; exit 1; }
server=$(command -v postgres) || fail "no program 'postgres' is on the PATH"
command -v pg_config >/dev/null || fail "no program 'pg_config' is on the PATH"

# Nix starts the server by a wrapper, which says where libraries are; `pg_config --pkglibdir` names a folder that can't be written.
libraries=$(sed -n "s/^export NIX_PGLIBDIR=['\"]\{0,1\}\([^'\"]*\).*/\1/p" "$server" 2>/dev/null | head -n 1)
[ -n "$libraries" ] || libraries=$(pg_config --pkglibdir)
extensions=$(pg_config --sharedir)/extension
[ -d "$libraries" ] || fail "the folder of libraries is not there: $libraries"
[ -d "$extensions" ] || fail "the folder of extensions is not there: $extensions"

install -m 755 "$from/nebula.so" "$libraries/nebula.so"
for file in "$from"/nebula.control "$from"/nebula--*.sql; do install -m 644 "$file" "$extensions/"; done
