#!/usr/bin/env bash
# Builds the release before this one ($PREVIOUS) into target/previous/: `nebula`, `nebula.so`, `nebula.control`, the install script.
#
# From an archive of its sources, not from git: a checkout may have no history. What it shares with the present Cargo.lock is linked from the present build,
# so that only its own crates are compiled; the present build sees nothing of it.
set -euo pipefail
cd "$(dirname "$0")/../.."
archive=tests/upgrade/releases/nebula-$PREVIOUS.tar.xz
dir=target/previous/$PREVIOUS
checksum=$(sha256sum "$archive" | cut -d' ' -f1)
grep -qx "$checksum  ${archive##*/}" tests/upgrade/releases/SHA256SUMS || { echo "$archive is not what was released" >&2; exit 1; }
if [ "$(cat "$dir/built" 2>/dev/null)" = "$checksum" ]; then exit 0; fi

echo "building the release before this one, $PREVIOUS, for the tests of upgrades (a minute or two)"
rm -rf "$dir"
mkdir -p "$dir/source" "$dir/target/release/.fingerprint" "$dir/target/release/deps"
tar -xJf "$archive" -C "$dir/source" --strip-components=1
# Linked, not copied: gigabytes. Fingerprints are copied, since cargo writes into them.
find target/release/deps -maxdepth 1 -type f ! -name '*nebula*' ! -name 'suite-*' -exec cp -al -t "$dir/target/release/deps" {} +
find target/release/.fingerprint -mindepth 1 -maxdepth 1 ! -name 'nebula*' -exec cp -a -t "$dir/target/release/.fingerprint" {} +
cp -al target/release/build "$dir/target/release/build"
target=$PWD/$dir/target
(cd "$dir/source" && CARGO_TARGET_DIR=$target cargo build --release --locked --quiet -p nebula -p nebula-edge)
cp "$target/release/nebula" "$dir/nebula"
cp "$target/release/libnebula.so" "$dir/nebula.so"
cp "$dir/source/extension/nebula.control" "sql/releases/nebula--$PREVIOUS.sql" "$dir/"
rm -rf "$target" "$dir/source"
echo "$checksum" > "$dir/built"
