#!/usr/bin/env bash
# Makes a .deb of what was built: the extension for one version of Postgres, or the edge. The same files give the same bytes.
#
#   packaging/package.sh extension 17 target/packages
#   packaging/package.sh edge target/packages
#
# Needs dpkg-deb, dpkg-shlibdeps and strip (build-essential). SOURCE_DATE_EPOCH is the commit's time unless it is given.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH LC_ALL=C.UTF-8
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
architecture=$(dpkg --print-architecture)
# As Debian's own tools name whoever builds.
maintainer="${DEBFULLNAME:-Nebula} <${DEBEMAIL:-nebula@example.org}>"

case $1 in
  extension)
    postgres=$2 out=$3 package=postgresql-$2-nebula template=packaging/postgresql-nebula
    # The first minor version without what let an install script run foreign objects (sql/roles.sql refuses older ones, too).
    declare -A oldest=([15]=15.14 [16]=16.10 [17]=17.6 [18]=18.0)
    ;;
  edge) postgres='' out=$2 package=nebula-edge template=packaging/nebula-edge ;;
  *) echo "packaging/package.sh: 'extension' or 'edge'" >&2; exit 1 ;;
esac

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
put() { install -D -m "$1" "$2" "$root/$3"; }

if [ -n "$postgres" ]; then
  binary=usr/lib/postgresql/$postgres/lib/nebula.so
  put 644 target/release/libnebula.so "$binary"
  put 644 extension/nebula.control "usr/share/postgresql/$postgres/extension/nebula.control"
  for script in target/release/nebula--*"$version".sql; do put 644 "$script" "usr/share/postgresql/$postgres/extension/${script##*/}"; done
else
  binary=usr/bin/nebula
  put 755 target/release/nebula "$binary"
  for unit in nebula-edge nebula-worker; do put 644 "$template/$unit.service" "lib/systemd/system/$unit.service"; done
  # Read by systemd as root; they hold passwords.
  for name in edge worker; do put 640 "$template/$name.env" "etc/nebula/$name.env"; done
  # Made by the program of its own declarations.
  target/release/nebula man "$root/usr/share/man/man1" >/dev/null
  chmod 644 "$root"/usr/share/man/man1/*
  gzip -9n "$root"/usr/share/man/man1/*.1
  for completion in bash:bash-completion/completions/nebula fish:fish/vendor_completions.d/nebula.fish zsh:zsh/vendor-completions/_nebula; do
    install -D -m 644 /dev/stdin "$root/usr/share/${completion#*:}" < <(target/release/nebula completions "${completion%%:*}")
  done
  put 644 docs/operations/nebula.toml usr/share/doc/nebula-edge/examples/nebula.toml
  put 644 "$template/lintian-overrides" usr/share/lintian/overrides/nebula-edge
fi
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$root/$binary"

documents=usr/share/doc/$package
put 644 packaging/copyright "$documents/copyright"
mkdir -p "$root/$documents"
{
  printf '%s (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md in the source.\n\n' "$package" "$version"
  printf ' -- %s  %s\n' "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$root/$documents/changelog.gz"

# What the binary needs of the libraries that it is linked with.
work=$(mktemp -d)
trap 'rm -rf "$root" "$work"' EXIT
mkdir "$work/debian"
printf 'Source: nebula\n\nPackage: %s\nArchitecture: any\n' "$package" >"$work/debian/control"
libraries=$(cd "$work" && dpkg-shlibdeps -O "$root/$binary" 2>"$work/warnings" | sed -n 's/^shlibs:Depends=//p')
[ -n "$libraries" ] || { cat "$work/warnings" >&2; exit 1; }

mkdir "$root/DEBIAN"
size=$(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@PACKAGE@/$package/g; s/@PG@/$postgres/g; s/@VERSION@/$version/g; s/@ARCHITECTURE@/$architecture/g; s/@SIZE@/$size/g" \
  -e "s/@MAINTAINER@/$maintainer/; s/@LIBRARIES@/$libraries/; s/@OLDEST@/${postgres:+${oldest[$postgres]:-}}/" \
  "$template/control" >"$root/DEBIAN/control"
for script in preinst postinst prerm postrm; do
  if [ -f "$template/$script" ]; then put 755 "$template/$script" "DEBIAN/$script"; fi
done
if [ -d "$root/etc" ]; then (cd "$root" && find etc -type f -printf '/%p\n' | sort) >"$root/DEBIAN/conffiles"; fi
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

mkdir -p "$out"
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/${package}_${version}_$architecture.deb" >/dev/null
echo "$out/${package}_${version}_$architecture.deb"
