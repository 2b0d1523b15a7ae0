#!/usr/bin/env bash
# Makes the secrets of a composition, one file a service under .nebula/compose (mode 600, ignored by git), each with what that service needs and no more.
# What is there stays: a secret is changed as docs/operations/deploy.md says, not by a second run.
#
#   packaging/container/secrets.sh              for compose.yaml
#   packaging/container/secrets.sh supabase     for compose.supabase.yaml
set -euo pipefail
umask 077
cd "$(dirname "$0")/../.."
kind=${1:-alone}
[[ $kind == alone || $kind == supabase ]] || { echo "secrets.sh: 'supabase' or nothing" >&2; exit 2; }
folder=.nebula/compose/$kind
if [[ -e $folder ]]; then
  echo "secrets.sh: $folder is there already" >&2
  exit 1
fi
mkdir -p "$folder"
random() { openssl rand -hex 24; }
put() { cat >"$folder/$1.env"; }

database=$([[ $kind == supabase ]] && echo postgres || echo nebula)
host=$([[ $kind == supabase ]] && echo db || echo postgres)
superuser=$(random) edge=$(random) worker=$(random) keys=$(random)
url() { echo "postgresql://$1:$2@$host:5432/$database"; }

put edge <<<"NEBULA_DATABASE_URL=$(url nebula_edge "$edge")"
put worker <<<"NEBULA_WORKER_DATABASE_URL=$(url nebula_worker "$worker")"
put admin <<<"NEBULA_ADMIN_DATABASE_URL=$(url postgres "$superuser")"
put setup <<END
PGHOST=$host
PGUSER=postgres
PGPASSWORD=$superuser
PGDATABASE=$database
NEBULA_EDGE_PASSWORD=$edge
NEBULA_WORKER_PASSWORD=$worker
NEBULA_KEYS_PASSWORD=$keys
END

if [[ $kind == alone ]]; then
  put postgres <<END
POSTGRES_PASSWORD=$superuser
POSTGRES_DB=$database
END
  exit
fi

# Supabase's: the secret that its tokens are signed with, and the two keys that are such tokens.
jwt_secret=$(random) auth=$(random) rest=$(random) meta=$(random) crypto=$(random)
encode() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
key() {
  local now signed
  now=$(date +%s)
  signed=$(printf '{"alg":"HS256","typ":"JWT"}' | encode).$(printf '{"role":"%s","iss":"supabase","iat":%d,"exp":%d}' "$1" "$now" $((now + 5 * 365 * 86400)) | encode)
  printf '%s.%s' "$signed" "$(printf '%s' "$signed" | openssl dgst -sha256 -hmac "$jwt_secret" -binary | encode)"
}
anon=$(key anon) service=$(key service_role)
cat >>"$folder/setup.env" <<END
NEBULA_AUTH_ISSUER=http://localhost:8000/auth/v1
NEBULA_AUTH_SECRET=$jwt_secret
END
put db <<END
POSTGRES_PASSWORD=$superuser
JWT_SECRET=$jwt_secret
AUTH_ADMIN_PASSWORD=$auth
AUTHENTICATOR_PASSWORD=$rest
META_PASSWORD=$meta
END
put auth <<END
GOTRUE_DB_DATABASE_URL=$(url supabase_auth_admin "$auth" | sed 's/^postgresql/postgres/')
GOTRUE_JWT_SECRET=$jwt_secret
END
put rest <<END
PGRST_DB_URI=$(url authenticator "$rest")
PGRST_JWT_SECRET=$jwt_secret
END
put meta <<END
PG_META_DB_PASSWORD=$meta
CRYPTO_KEY=$crypto
END
put studio <<END
POSTGRES_PASSWORD=$superuser
PG_META_CRYPTO_KEY=$crypto
SUPABASE_ANON_KEY=$anon
SUPABASE_SERVICE_KEY=$service
AUTH_JWT_SECRET=$jwt_secret
END
# For your application; no service reads it.
put client <<END
SUPABASE_URL=http://localhost:8000
SUPABASE_ANON_KEY=$anon
SUPABASE_SERVICE_ROLE_KEY=$service
END
