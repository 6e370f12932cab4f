#!/usr/bin/env bash
# What passing a message on costs: klagomal beside nginx and HAProxy, with the same certificates, the
# same TLS, the same producer and the same calls. `--smoke` is short, and shows only that it works.
#
# The proxies share one core, the consumers and the producer another. Each proxy verifies its callers'
# certificates, calls the producer over mutual TLS on kept connections, resumes no TLS session, and
# writes one log line for each call to a file. klagomal also reads the envelope, decides who may call
# what, and routes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=5 rounds=7
port=${KLAGOMAL_BENCH_PORT:-18440} # this and the two after it
idle=1000
build=(cargo bench --locked --bench forward --no-run)
while [ $# -gt 0 ]; do
    case $1 in
    --smoke) # with what `cargo test` has built
        seconds=0.3 rounds=1 idle=50 build=(cargo test --locked --bench forward --no-run) ;;
    --seconds) seconds=$2 && shift ;;
    --rounds) rounds=$2 && shift ;;
    *)
        printf 'usage: %s [--smoke] [--seconds S] [--rounds N]\n' "$0" >&2
        exit 2
        ;;
    esac
    shift
done

missing=()
command -v nginx >/dev/null || missing+=(nginx-light)
command -v haproxy >/dev/null || missing+=(haproxy)
command -v taskset >/dev/null || missing+=(util-linux)
if [ "${#missing[@]}" -gt 0 ]; then
    printf 'missing: apt-get install --no-install-recommends %s\n' "${missing[*]}" >&2
    exit 1
fi

# "  Executable tests/bench/forward.rs (target/release/deps/forward-…)"; the program is built with it.
driver=$("${build[@]}" 2>&1 | tee /dev/stderr | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
target=$(dirname "$(dirname "$driver")")

dir=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$dir"
}
trap cleanup EXIT

# A thousand idle connections, and as many to nobody.
ulimit -n 8192 2>/dev/null || ulimit -n "$(ulimit -Hn)"
if [ "$(nproc)" -gt 1 ]; then
    on_proxy_core=(taskset -c 0) on_other_core=(taskset -c 1)
else
    printf 'one core only: the proxies share it with those who call\n' >&2
    on_proxy_core=() on_other_core=()
fi

certs=$dir/certs
"$target/klagomal" certs make "$certs" >/dev/null
chmod 755 "$dir" # nginx's worker is another user where root starts it
cat "$certs/gateway.crt" "$certs/gateway.key" >"$certs/gateway.pem"
cat "$certs/region.crt" "$certs/region.key" >"$certs/region.pem"

common_nginx() { # what producer and proxy have in common
    cat <<END
daemon off;
worker_processes 1;
pid $dir/$1.pid;
error_log $dir/$1.err;
events { worker_connections 8192; }
http {
    types { }
    default_type text/xml;
    client_body_temp_path $dir/$1.body;
    proxy_temp_path $dir/$1.proxy;
    fastcgi_temp_path $dir/$1.fastcgi;
    uwsgi_temp_path $dir/$1.uwsgi;
    scgi_temp_path $dir/$1.scgi;
    keepalive_requests 1000000000;
    client_body_buffer_size 256k;
    client_max_body_size 200m;
    ssl_certificate $certs/$2.crt;
    ssl_certificate_key $certs/$2.key;
    ssl_client_certificate $certs/ca.crt;
    ssl_verify_client on;
    ssl_verify_depth 2;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache off;
    ssl_session_tickets off;
END
}

# The producer: reads the question, answers with a file.
mkdir "$dir/answers"
for kb in 4 64; do
    {
        printf '<?xml version="1.0" encoding="UTF-8"?>'
        printf '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><r>'
        head -c $((kb * 1024)) /dev/zero | tr '\0' 'x'
    } | head -c $((kb * 1024 - 27)) >"$dir/answers/$kb"
    printf '</r></e:Body></e:Envelope>\n' >>"$dir/answers/$kb"
done
{
    common_nginx producer region
    cat <<END
    access_log off;
    open_file_cache max=10;
    tcp_nopush on;
    server {
        listen 127.0.0.1:$port ssl;
        root $dir/answers;
        # A file is not posted to; this makes the server read the question and answer all the same.
        error_page 405 =200 \$uri;
    }
}
END
} >"$dir/producer.conf"

{
    common_nginx nginx gateway
    cat <<END
    access_log $dir/nginx.log;
    upstream producer {
        server localhost:$port;
        keepalive 128;
        keepalive_requests 1000000000;
    }
    server {
        listen 127.0.0.1:$((port + 1)) ssl;
        location / {
            proxy_pass https://producer;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_ssl_certificate $certs/gateway.crt;
            proxy_ssl_certificate_key $certs/gateway.key;
            proxy_ssl_trusted_certificate $certs/ca.crt;
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 2;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
            proxy_ssl_session_reuse off;
            proxy_buffers 8 16k;
            proxy_buffer_size 16k;
        }
    }
}
END
} >"$dir/nginx.conf"

cat >"$dir/haproxy.conf" <<END
global
    nbthread 1
    maxconn 3000
    log stdout format raw local0
    tune.ssl.cachesize 0
    ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-server-options ssl-min-ver TLSv1.2 no-tls-tickets
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client 120s
    timeout server 120s
    timeout http-keep-alive 120s
    http-reuse always
frontend consumers
    bind 127.0.0.1:$((port + 2)) ssl crt $certs/gateway.pem ca-file $certs/ca.crt verify required alpn http/1.1
    default_backend producers
backend producers
    server producer 127.0.0.1:$port ssl crt $certs/gateway.pem ca-file $certs/ca.crt verify required verifyhost localhost sni str(localhost) no-ssl-reuse
END

# klagomal with its example routing, and a contract to measure with.
cp -r tak-config "$dir/tak-config"
cat >"$dir/tak-config/bench.toml" <<END
[[route]]
contract = "urn:riv:exempel:matning:GetDocumentsResponder:1"
logical_address = "SE0000000000-LITEN"
address = "https://localhost:$port/4"
[[route]]
contract = "urn:riv:exempel:matning:GetDocumentsResponder:1"
logical_address = "SE0000000000-STOR"
address = "https://localhost:$port/64"
[[permission]]
consumer = "SE0000000000-REGION"
contract = "urn:riv:exempel:matning:GetDocumentsResponder:1"
logical_address = "*"
END
cat >"$dir/klagomal.toml" <<END
[server]
https = "127.0.0.1:0"
admin = "127.0.0.1:0"
[tls]
certificate = "certs/gateway.crt"
key = "certs/gateway.key"
trust = ["certs/ca.crt"]
[store]
min_free_bytes = 1_048_576
[log]
format = "json"
END

start() { # NAME COMMAND... : its output to files, its number to $pid
    local name=$1
    shift
    : >"$dir/$name.out"
    "$@" >>"$dir/$name.out" 2>"$dir/$name.err" &
    pid=$!
    pids+=("$pid")
}
listens() { # NAME PORT
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then return; fi
        sleep 0.1
    done
    printf '%s does not listen on port %s:\n' "$1" "$2" >&2
    cat "$dir/$1.out" "$dir/$1.err" >&2
    exit 1
}

proxies() { # starts them afresh; what the driver is told of them to $proxies
    local address="" nginx haproxy
    start nginx "${on_proxy_core[@]}" nginx -e "$dir/nginx.err" -c "$dir/nginx.conf"
    nginx=$pid
    start haproxy "${on_proxy_core[@]}" haproxy -db -f "$dir/haproxy.conf"
    haproxy=$pid
    start klagomal "${on_proxy_core[@]}" "$target/klagomal" serve --settings "$dir/klagomal.toml"
    listens nginx "$((port + 1))"
    listens haproxy "$((port + 2))"
    for _ in $(seq 100); do
        address=$(sed -n 's/^https //p' "$dir/klagomal.out")
        if [ -n "$address" ]; then break; fi
        sleep 0.1
    done
    listens klagomal "${address##*:}"
    proxies=("klagomal=$address=$pid" "nginx=127.0.0.1:$((port + 1))=$nginx"
        "haproxy=127.0.0.1:$((port + 2))=$haproxy")
}
ends() { # PID...
    kill "$@"
    wait "$@" || true # HAProxy tells the signal
}

start producer "${on_other_core[@]}" nginx -e "$dir/producer.err" -c "$dir/producer.conf"
listens producer "$port"
printf '%s, %s, %s\n' "$("$target/klagomal" --version)" "$(nginx -v 2>&1 | sed 's/.*: //')" \
    "$(haproxy -v | sed -n 's/^\(HAProxy version [^ ]*\).*/\1/p')"
proxies
"${on_other_core[@]}" "$driver" --certs "$certs" --idle "$idle" "${proxies[@]}"
ends "${pids[@]:1}"
pids=("${pids[0]}")
proxies
"${on_other_core[@]}" "$driver" --certs "$certs" --seconds "$seconds" --rounds "$rounds" "${proxies[@]}"
printf '\nlog lines: klagomal %s, nginx %s, haproxy %s\n' "$(wc -l <"$dir/klagomal.err")" \
    "$(wc -l <"$dir/nginx.log")" "$(wc -l <"$dir/haproxy.out")"
