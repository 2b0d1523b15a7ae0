#!/usr/bin/env bash
# Installs the packages into a Debian of its own under target/, makes a cluster there that creates the extension, and removes them again. As root.
#
#   packaging/test.sh 15 bookworm target/packages
set -euo pipefail
cd "$(dirname "$0")/.."
pg=$1 suite=$2 packages=$(realpath "$3")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
architecture=$(dpkg --print-architecture)
extension=$packages/postgresql-$pg-nebula_${version}_$architecture.deb
edge=$packages/nebula-edge_${version}_$architecture.deb
fail() { echo "packaging/test.sh: $*" >&2; exit 1; }

# What is in the library: nothing that Supabase's images lack, no libc newer than Debian 12's.
library=$(mktemp)
trap 'rm -f "$library"' EXIT
for what in "$extension:./usr/lib/postgresql/$pg/lib/nebula.so" "$edge:./usr/bin/nebula"; do
  dpkg-deb --fsys-tarfile "${what%%:*}" | tar -xO "${what#*:}" >"$library"
  newest=$(objdump -T "$library" | grep -o 'GLIBC_2\.[0-9]*' | sort -Vu | tail -n 1)
  [ "$(printf '%s\nGLIBC_2.36\n' "$newest" | sort -V | tail -n 1)" = GLIBC_2.36 ] || fail "${what#*:} needs $newest"
  needed=$(objdump -p "$library" | awk '$1 == "NEEDED" { print $2 }' | xargs)
  echo "${what#*:} needs $needed, $newest"
  case "${what#*:} $needed" in *nebula.so*libgcc_s*) fail "the library needs libgcc_s.so.1" ;; esac
done

# Made once for each version, then used again; what a run leaves in it is its cluster, which the next one removes.
chroot=$PWD/target/chroot-$suite-$pg
if [ ! -e "$chroot/complete" ]; then
  echo "making a Debian $suite with Postgres $pg in $chroot"
  rm -rf "$chroot"
  # What it is made of is thrown away with it: nothing has to survive a crash of the machine.
  mmdebstrap --aptopt='Acquire::Check-Valid-Until "false"' --mode=root --variant=minbase --components=main --dpkgopt=force-unsafe-io --include="postgresql-$pg,adduser,ca-certificates" \
    "$suite" "$chroot" "$(tests/postgres/archive.sh)" >"$chroot.log" 2>&1 || { tail -n 20 "$chroot.log" >&2; fail "see $chroot.log"; }
  touch "$chroot/complete"
fi
cp "$extension" "$edge" "$chroot/root/"

cat >"$chroot/root/steps.sh" <<'STEPS'
set -euo pipefail
pg=$1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
fail() { echo "packaging/test.sh: $*" >&2; exit 1; }
bin=/usr/lib/postgresql/$pg/bin data=/var/lib/postgresql/nebula-test
apt-get -qq -y purge "postgresql-$pg-nebula" nebula-edge >/dev/null 2>&1 || true
rm -rf "$data" /var/lib/nebula
find / -xdev \( -path /proc -o -path /root -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /tmp \) -prune -o -print | sort >/root/before

dpkg --install /root/*.deb >/dev/null
[ "$(dpkg-query -W -f '${Status}' "postgresql-$pg-nebula")" = 'install ok installed' ] || fail 'not installed'
dpkg --verify "postgresql-$pg-nebula" nebula-edge | grep . && fail 'files differ from their md5sums'
nebula --version
for file in man/man1/nebula-status.1.gz bash-completion/completions/nebula fish/vendor_completions.d/nebula.fish zsh/vendor-completions/_nebula; do
  dpkg -L nebula-edge | grep -qx "/usr/share/$file" || fail "/usr/share/$file is not in the package"
done
[ "$(stat -c '%U %a' /var/lib/nebula/keys)" = 'nebula 700' ] || fail 'the keys are not the service user'\''s alone'
[ "$(stat -c '%U %G %a' /etc/nebula/edge.env)" = 'root nebula 640' ] || fail 'passwords can be read'

as_postgres() { runuser -u postgres -- "$@"; }
as_postgres "$bin/initdb" -D "$data" -A trust -U postgres -E UTF8 --locale=C.UTF-8 >/dev/null
as_postgres "$bin/pg_ctl" -D "$data" -w -l /tmp/nebula-test.log -o '-p 55629 -k /tmp -c listen_addresses=127.0.0.1' start >/dev/null || { cat /tmp/nebula-test.log; exit 1; }
psql() { as_postgres "$bin/psql" -X -q -t -A -v ON_ERROR_STOP=1 -h /tmp -p 55629 "$@"; }
psql -c 'create extension nebula' -c 'select nebula.migrate()' -c 'select nebula.seed()' >/dev/null
echo "created in Postgres $(psql -c 'show server_version'), $(psql -c "select count(*) from pg_tables where schemaname = 'nebula'") tables"

# The edge as its unit runs it: that user, that file, its own folder.
runuser -u nebula -- env NEBULA_ADMIN_DATABASE_URL=postgresql://postgres@127.0.0.1:55629/postgres NEBULA_KEYS_DIR=/var/lib/nebula/keys nebula key signing generate >/dev/null 2>&1
(set -a; . /etc/nebula/edge.env; NEBULA_DATABASE_URL=postgresql://nebula_edge@127.0.0.1:55629/postgres NEBULA_LISTEN=127.0.0.1:55628 exec runuser -u nebula -- nebula serve) 2>/tmp/nebula-edge.log &
edge=$!
ready() { exec 3<>/dev/tcp/127.0.0.1/55628 && printf 'GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]; }
for _ in $(seq 100); do if ready 2>/dev/null; then break; fi; sleep 0.1; done
ready || { cat /tmp/nebula-edge.log; fail 'the edge is not ready'; }
kill $edge; wait $edge || true

# Removing takes away the program and not one row.
rows=$(psql -c 'select count(*) from nebula.tool_action')
dpkg --remove "postgresql-$pg-nebula" nebula-edge >/dev/null
as_postgres "$bin/pg_ctl" -D "$data" -w -m fast restart -l /tmp/nebula-test.log -o '-p 55629 -k /tmp' >/dev/null
[ "$(psql -c 'select count(*) from nebula.tool_action')" = "$rows" ] || fail 'rows went with the package'
[ -s /etc/nebula/edge.env ] || fail 'settings went without a purge'
dpkg --purge nebula-edge >/dev/null
[ -n "$(ls /var/lib/nebula/keys)" ] || fail 'keys went with the package'
as_postgres "$bin/pg_ctl" -D "$data" -m immediate stop >/dev/null
rm -rf "$data" /var/lib/nebula
find / -xdev \( -path /proc -o -path /root -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path /tmp \) -prune -o -print | sort >/root/after
# The user stays, as Debian's policy wants it; /run/adduser is the lock of newer adduser.
left=$(comm -13 /root/before /root/after | grep -vE '^(/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?|/run/adduser)$' || true)
[ -z "$left" ] || fail "left behind: $left"
deluser --quiet --system nebula >/dev/null 2>&1 || true
echo "installed, used, removed and purged on $(. /etc/os-release; echo "$PRETTY_NAME")"
STEPS
# In namespaces of its own: whatever it starts ends with it.
unshare --mount --pid --fork --kill-child bash -c 'mount -t proc proc "$0/proc" && exec chroot "$0" bash /root/steps.sh "$1"' "$chroot" "$pg"
rm -f "$chroot"/root/*.deb
