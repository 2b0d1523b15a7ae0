#!/usr/bin/env bash
# Unpacks a Postgres that this Debian doesn't have, from another suite of the archive that apt uses here, into a folder: server, clients,
# headers, and the libraries that they were built against. Nothing of it is installed.
#
#   tests/postgres/debian.sh 17 trixie FOLDER
#
# The programs are patched to load that suite's own libc and libraries: they run as they are, for any user, in the folder where they lie.
set -euo pipefail
version=$1 suite=$2 tree=$3

archive=$("$(dirname "$0")/archive.sh")
security=$("$(dirname "$0")/archive.sh" -security)

echo "unpacking Postgres $version of Debian $suite"
rm -rf "$tree" "$tree.new"
mkdir -p "$tree.new"/{apt/lists/partial,apt/archives/partial,usr/lib,usr/bin}
cd "$tree.new"
# An empty machine, as far as apt knows: so it names every library.
touch apt/status
cat >apt/archive.sources <<SOURCES
Types: deb
URIs: $archive
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: $security
Suites: $suite-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
apt=(apt-get -qq
  -o Dir::Etc::SourceList="$PWD/apt/archive.sources" -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
  -o Dir::State="$PWD/apt" -o Dir::State::status="$PWD/apt/status" -o Dir::Cache="$PWD/apt"
  -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
"${apt[@]}" update
# Libraries and Postgres; what only maintainers' scripts call stays away. The headers come without the compilers that their package asks for.
mapfile -t packages < <("${apt[@]}" --print-uris --no-install-recommends install "postgresql-$version" \
  | awk '{ sub(/_.*/, "", $2); print $2 }' | grep -E '^(lib|zlib|postgresql-(client-)?[0-9])')
(cd apt/archives && "${apt[@]}" download "${packages[@]}" "postgresql-server-dev-$version" "libpq-dev")
# Every Debian since 12 has /lib in /usr.
ln -s usr/lib lib
for package in apt/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' --keep-directory-symlink
done
rm -rf apt

loader=$(echo usr/lib/*/ld-linux*.so.*)
for program in usr/lib/postgresql/"$version"/bin/*; do
  if [ ! -L "$program" ] && [ "$(head -c 4 "$program" | tail -c 3)" = ELF ]; then
    # RPATH, not RUNPATH: libraries of libraries, and of extensions, are looked for there too.
    patchelf --set-interpreter "$tree/$loader" --force-rpath --set-rpath "$tree/$(dirname "$loader")" "$program"
  fi
done
# Before the rename only this script looks; after it the programs find their libc.
mv "$tree.new" "$tree"
"$tree/lib/postgresql/$version/bin/postgres" --version >/dev/null
