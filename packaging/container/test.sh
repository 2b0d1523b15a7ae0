#!/usr/bin/env bash
# What can be tried of the images without a container engine: that what the builder gets is all that it needs, that the files land where each kind of server looks,
# and that the edge runs in a root without a shell, which nothing but its own program was added to, as a stranger, on a file system that can't be written.
# As root, after `make build`.
set -euo pipefail
cd "$(dirname "$0")/../.."
fail() { echo "packaging/container/test.sh: $*" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# 1. The context, as .dockerignore leaves it: cargo and make find everything in it.
context=$work/context
mkdir "$context"
sed -n 's/^!//p' .dockerignore | while read -r path; do git ls-files -z -- "$path"; done | xargs -0 cp --parents -t "$context"
(cd "$context" && cargo metadata --locked --offline --no-deps --format-version 1 >/dev/null) || fail 'the context lacks a manifest'
for target in $(cd "$context" && cargo metadata --locked --offline --no-deps --format-version 1 |
  jq -r '.packages[] | select(.name != "nebula-tests") | .targets[].src_path'); do [ -e "$target" ] || fail "the context lacks $target"; done
(cd "$context" && make script) || fail 'the context lacks a part of the install script'
[ -s "$context/target/release/nebula--$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1).sql" ] || fail 'no install script was made'
[ -z "$(find "$context" -name '*.env' -o -name '.nebula')" ] || fail 'secrets are in the context'
echo 'the context has what the builder needs'

# 2. install.sh, in an image of Postgres' and in one of Nix's, whose server is started by a wrapper.
files=$work/files
mkdir "$files"
cp target/release/nebula--*.sql extension/nebula.control packaging/container/install.sh "$files/"
cp target/release/libnebula.so "$files/nebula.so"
server() { # folder, what the program `postgres` says
  mkdir -p "$1/bin" "$1/lib" "$1/share/extension" "$1/nix"
  printf '%s\n' "$2" >"$1/bin/postgres"
  # shellcheck disable=SC2016
  printf '#!/bin/sh\ncase $1 in --pkglibdir) echo %s/lib ;; --sharedir) echo %s/share ;; esac\n' "$1" "$1" >"$1/bin/pg_config"
  chmod +x "$1/bin/postgres" "$1/bin/pg_config"
}
run_install() { PATH="$1/bin:$PATH" sh "$files/install.sh" "$files"; }
server "$work/debian" 'not a wrapper'
run_install "$work/debian"
[ "$(stat -c %a "$work/debian/lib/nebula.so")" = 755 ] || fail 'the library is not where pg_config says'
server "$work/nix" "#!/nix/store/bash
export NIX_PGLIBDIR='$work/nix/nix'
exec /nix/store/postgres"
run_install "$work/nix"
[ -e "$work/nix/nix/nebula.so" ] && [ ! -e "$work/nix/lib/nebula.so" ] || fail 'the library is not where the wrapper says'
for kind in debian nix; do
  [ "$(stat -c %a "$work/$kind/share/extension/nebula.control")" = 644 ] || fail 'the control file is missing'
  diff <(cd target/release && ls nebula--*.sql) <(cd "$work/$kind/share/extension" && ls nebula--*.sql) || fail 'scripts are missing'
done
server "$work/lacking" "export NIX_PGLIBDIR='$work/nowhere'"
if run_install "$work/lacking" 2>"$work/refusal"; then fail 'a folder that is not there was accepted'; fi
grep -q "not there: $work/nowhere" "$work/refusal" || fail 'the refusal does not say why'
echo 'the files land where each kind of server looks'

# 3. The edge, in a root like the image's: libc, libgcc and certificates extracted, nothing configured, no shell.
root=$PWD/target/container-edge
if [ ! -e "$root/complete" ]; then
  rm -rf "$root"
  mmdebstrap --mode=root --variant=extract --components=main --include=libc6,libgcc-s1,ca-certificates,base-files \
    bookworm "$root" "$(tests/postgres/archive.sh)" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; fail "see $root.log"; }
  rm -rf "$root/bin/sh" "$root/usr/bin/sh" "$root/bin/bash" "$root/usr/bin/bash"
  touch "$root/complete"
fi
[ ! -e "$root/bin/sh" ] && [ ! -e "$root/bin/bash" ] || fail 'the root has a shell'
install -D -m 755 target/release/nebula "$root/usr/local/bin/nebula"
install -d -o 65532 -g 65532 -m 700 "$root/var/lib/nebula" "$root/var/lib/nebula/keys"
# In a namespace of mounts of its own; each step becomes the next one's program, so that the process's number stays.
nebula() (
  exec unshare --mount bash -c 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot --userspec=65532:65532 "$0" "${@}"' \
    "$root" /usr/local/bin/nebula "$@"
)
export NEBULA_LISTEN=127.0.0.1:55638 NEBULA_KEYS_DIR=/var/lib/nebula/keys NEBULA_DATABASE_URL=postgresql://nebula_edge@127.0.0.1:1/nowhere
nebula --version
if nebula health 2>/dev/null; then fail 'the health check found an edge that is not there'; fi
nebula serve 2>"$work/edge.log" &
edge=$!
trap 'kill -KILL "$edge" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do if nebula health >/dev/null 2>&1; then break; fi; sleep 0.1; done
nebula health >/dev/null || { cat "$work/edge.log" >&2; fail 'the edge does not answer'; }
if nebula health --ready 2>"$work/unready"; then fail 'the edge is ready without a database'; fi
grep -q 503 "$work/unready" || fail 'the check does not say why the edge is not ready'
kill -TERM "$edge"
wait "$edge" || fail 'the edge did not stop cleanly'
echo "the edge runs without a shell, as 65532, on a read-only root: $(du -sh --exclude=var "$root" | cut -f1), unstripped program included"
