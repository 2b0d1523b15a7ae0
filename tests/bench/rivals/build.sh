#!/usr/bin/env bash
# Installs and compiles the rivals into target/bench-rivals-js (called by `make bench-rivals`); nothing where they are current.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
into=$here/../../../target/bench-rivals-js
sources=(package.json package-lock.json .npmrc tsconfig.json prisma.config.ts prisma src)
digest=$(cd "$here" && find "${sources[@]}" -type f -print0 | sort -z | xargs -0 sha256sum)
[ "$digest" != "$(cat "$into/digest" 2>/dev/null)" ] || exit 0

mkdir -p "$into"
cd "$into"
rm -rf digest src dist
# node_modules stays where the lock is the same.
cmp -s "$here/package-lock.json" package-lock.json || rm -rf node_modules
(cd "$here" && cp -r "${sources[@]}" "$into/")
[ -d node_modules ] || npm ci --silent --no-audit --no-fund || { rm -rf node_modules; exit 1; }
# `prisma generate` doesn't use the engine that it would fetch from outside the registry: any program in its place stops that.
PRISMA_SCHEMA_ENGINE_BINARY=$(type -P true) PRISMA_HIDE_UPDATE_MESSAGE=1 CHECKPOINT_DISABLE=1 \
  PATH=$(echo "$PWD"/node_modules/node-linux-*/bin):$PATH npm run --silent build >build.log 2>&1 || { cat build.log >&2; exit 1; }
echo "$digest" >digest
