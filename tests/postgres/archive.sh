#!/usr/bin/env bash
# Prints where apt gets this Debian's packages here, so that no address has to stand in a file: other suites are there, too.
#
#   tests/postgres/archive.sh             the archive
#   tests/postgres/archive.sh -security   where its security fixes are
set -euo pipefail
. /etc/os-release
archive=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' \
  | awk -v codename="${VERSION_CODENAME:-}${1:-}" '$2 == codename && $3 == "main" && !found { print $1; found = 1 }')
if [ -z "$archive" ]; then
  echo "tests/postgres/archive.sh: apt has no archive of this Debian: is it Debian, and was 'apt-get update' run?" >&2
  exit 1
fi
echo "$archive"
