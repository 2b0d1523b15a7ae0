#!/usr/bin/env bash
# Has lintian check packages: no error, and no warning but those that a package outside of Debian can't avoid.
set -euo pipefail
user=(); if [ "$(id -u)" = 0 ]; then user=(--allow-root); fi
# No bug of Debian's asked for these packages; Postgres' own library folder is where its extensions belong.
lintian "${user[@]}" --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$@"
