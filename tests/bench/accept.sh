#!/usr/bin/env bash
# What a durable accept costs: the store beside a bare append + fdatasync, sled, redb and PostgreSQL on
# the same disk, and the whole way over mutual TLS. `--smoke` is short, and shows only that it works.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=10 bench=(cargo bench --locked --bench figures -- accept)
if [ "${1:-}" = --smoke ]; then # with what `cargo test` has built
    seconds=1 bench=(env KLAGOMAL_SECONDS=0.2 cargo test --locked --bench figures -- accept)
elif [ $# -gt 0 ]; then
    printf 'usage: %s [--smoke]\n' "$0" >&2
    exit 2
fi

# Debian keeps the server's programs out of the way.
for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done
for tool in initdb pg_ctl pgbench psql; do
    if ! command -v "$tool" >/dev/null; then
        printf 'missing: %s; apt-get install --no-install-recommends postgresql\n' "$tool" >&2
        exit 1
    fi
done

"${bench[@]}"

# On a disk, which /tmp may not be; and not as root, whom PostgreSQL refuses.
dir=$(mktemp -d /var/tmp/accept.XXXXXX)
as=()
if [ "$(id -u)" -eq 0 ]; then
    as=(runuser -u nobody --)
    chown nobody "$dir"
fi
postgres() { (cd / && "${as[@]}" env "PATH=$PATH" "$@"); }
cleanup() {
    postgres pg_ctl -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap cleanup EXIT
postgres initdb -D "$dir/data" -U bench --auth=trust >/dev/null
postgres pg_ctl -w -D "$dir/data" -l "$dir/data/log" -o "-k $dir -c listen_addresses='' \
    -c synchronous_commit=on -c fsync=on -c max_connections=80" start >/dev/null
connection=(-h "$dir" -U bench)
postgres psql -q "${connection[@]}" postgres -c "create table records
    (seq bigserial primary key, payload bytea not null);
    create table marks (id uuid primary key, seq bigint not null)"
cat >"$dir/accept.sql" <<'END'
with record as (insert into records (payload)
    values (convert_to(repeat('x', 2048), 'UTF8')) returning seq)
insert into marks select gen_random_uuid(), seq from record;
END
# A record of a kind that does not shrink.
postgres psql -q "${connection[@]}" postgres \
    -c "alter table records alter column payload set storage external"
chmod 644 "$dir/accept.sql"
printf '\nPostgreSQL, 64 connections, a record and its mark in one commit:\n'
postgres pgbench "${connection[@]}" -n -c 64 -j 2 -T "$seconds" -f "$dir/accept.sql" postgres |
    grep -E '^(tps|latency average)'
