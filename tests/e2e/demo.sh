#!/usr/bin/env bash
# The demo: gatun between real kernels, in network namespaces of its own. `make demo` builds and runs it.
#
#   demo.sh                  shows everything, removes what it made, exits 0 when all of it worked
#   KEEP=1 demo.sh           leaves it running and says what to try
#   demo.sh remove PREFIX    removes what KEEP=1 left
#
# GATUN is the program to run, without it target/quick/gatun; gatunctl and gatun-ipvsadm are beside it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=net.sh
source "$here/net.sh"

gatun=${GATUN:-$root/target/quick/gatun}
bin=$(dirname "$gatun")
keep=${KEEP:-}
vip=198.18.1.100
lip=198.18.2.100
vip6=2001:db8:1::100
lip6=2001:db8:2::100
steps=13
step=0

main() {
    check_surroundings
    prefix=gt$$
    dir=/tmp/$prefix
    exec 3>&1 4>&2 # for what is to be said at the end, wherever that comes
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    trap 'exit 141' PIPE
    began=$SECONDS

    build_network
    start_servers
    start_gatun
    show_http
    show_http_of_both_families
    show_udp
    show_ping
    show_services
    drain_a_server
    show_a_trace
    show_a_drop
    show_metrics
    if [[ $keep ]]; then say_what_to_try; else show_the_end; fi
}

# --- the steps ---

build_network() {
    headline "A network of namespaces, $prefix-*"
    mkdir -m 755 "$dir"
    net_up "$prefix"
    tell "client 198.18.1.1    --- wan [gatun] lan --- rs1 198.18.2.11    rs2 198.18.2.12"
    tell "       2001:db8:1::1                             2001:db8:2::11     and no IPv6"
    tell "VIPs $vip and $vip6, local addresses 198.18.2.100 and .101, $lip6 and ::101"
    ip -n "$prefix-rs2" -6 addr flush dev eth0
}

start_servers() {
    headline "Two real servers: nginx on port 80, a UDP echo on port 5353"
    local name address listen
    for name in rs1 rs2; do
        address=198.18.2.1${name#rs}
        listen="listen $address:80 backlog=16384;"
        if [[ $name == rs1 ]]; then
            listen+=" listen [2001:db8:2::11]:80 backlog=16384;"
            start rs1 "$dir/rs1.echo6.log" "$here/echo.py" serve rs1 2001:db8:2::11 5353
        fi
        sed "s|DIR|$dir|; s|NAME|$name|; s|LISTEN|$listen|" "$here/nginx.conf" >"$dir/$name.conf"
        start "$name" "$dir/$name.log" nginx -e "$dir/$name.error.log" -c "$dir/$name.conf"
        start "$name" "$dir/$name.echo.log" "$here/echo.py" serve "$name" "$address" 5353
    done
    for name in rs1 rs2; do
        address=198.18.2.1${name#rs}
        within 5 quietly in_ns "$prefix" "$name" curl -fs -o "$dir/answer" "http://$address/" ||
            fail "nginx of $name does not answer: $(tail -n 2 "$dir/$name.log" "$dir/$name.error.log" 2>&1)"
        tell "$name $address$([[ $name == rs2 ]] || echo " and 2001:db8:2::11") is up"
    done
}

start_gatun() {
    headline "gatun on two DPDK ports (net_af_packet over veth, no huge pages)"
    cp "$root/conf/demo.toml" "$dir/gatun.toml"
    local start
    start=$(milliseconds)
    start gw "$dir/gatun.log" "$gatun" run --config "$dir/gatun.toml" --socket "$dir/gatun.sock" --state "$dir/state"
    gatun_pid=$!
    within 10 gatun_is_ready_or_gone || fail "gatun is not ready after 10 s"
    kill -0 "$gatun_pid" 2>/dev/null || fail "gatun did not start"
    tell "ready after $(($(milliseconds) - start)) ms: its next hops have answered, by ARP and by neighbour discovery;"
    tell "a second of it was for others to object to its IPv6 addresses"
}

show_http() {
    headline "1,000 HTTP requests to the VIP, a connection each"
    local start good code=0
    start=$(milliseconds)
    in_ns "$prefix" client curl -sSf --fail-early -m 5 -H 'Connection: close' "http://$vip/?[1-1000]" \
        >"$dir/answers" 2>"$dir/curl.log" || code=$?
    good=$(grep -cE '^rs[12] saw 198\.18\.2\.10[01]:[0-9]+$' "$dir/answers" || true)
    ((code == 0 && good == 1000)) || fail "$good of 1,000 requests were answered; curl: $(tail -n 1 "$dir/curl.log")"
    tell "1,000 answered in $(($(milliseconds) - start)) ms: $(grep -c ^rs1 "$dir/answers") by rs1," \
        "$(grep -c ^rs2 "$dir/answers") by rs2"
    tell "The client asked $vip:80. What nginx took for its client, a local address and port of gatun:"
    sleep 1.1 # nginx writes its log once a second
    local name
    for name in rs1 rs2; do
        tail -n 2 "$dir/$name.access.log" | sed "s/^/$name  /" | indent
    done
}

show_http_of_both_families() {
    headline "1,000 more to the IPv6 VIP, half of them for a server that has IPv4 alone"
    local code=0 six four
    in_ns "$prefix" client curl -sSf --fail-early -m 5 -H 'Connection: close' "http://[$vip6]/?[1-1000]" \
        >"$dir/answers" 2>"$dir/curl.log" || code=$?
    six=$(grep -cE '^rs1 saw 2001:db8:2::10[01]:[0-9]+$' "$dir/answers" || true)
    four=$(grep -cE '^rs2 saw 198\.18\.2\.10[01]:[0-9]+$' "$dir/answers" || true)
    ((code == 0 && six == 500 && four == 500)) ||
        fail "$six and $four of 1,000 requests were answered; curl: $(tail -n 1 "$dir/curl.log")"
    tell "$six answered by rs1 over IPv6, $four by rs2 over IPv4 (NAT64):"
    grep -m 1 ^rs1 "$dir/answers" | indent
    grep -m 1 ^rs2 "$dir/answers" | indent
}

show_udp() {
    headline "A UDP echo through the VIPs"
    local to n answer
    for to in "$vip" "$vip6"; do
        for n in one two; do
            answer=$(in_ns "$prefix" client "$here/echo.py" ask "$to" 5353 "datagram $n" 2>&1) || fail "$answer"
            [[ $answer == rs[12]" saw "*[0:.]10[01]:*": datagram $n" ]] || fail "an answer that is not ours: $answer"
            tell "$to: $answer"
        done
    done
}

show_ping() {
    headline "Ping: gatun answers for its addresses itself"
    local address
    for address in "$vip" "$lip" "$vip6" "$lip6"; do
        # The local addresses are on the servers' side.
        local from=client
        [[ $address != "$lip" && $address != "$lip6" ]] || from=rs1
        in_ns "$prefix" "$from" ping -n -q -c 3 -i 0.2 -W 2 "$address" >"$dir/ping.log" ||
            fail "no answer from $address to $from"
        tell "$from -> $address:" \
            "$(sed -nE 's/.* ([0-9]+) received.*/\1 of 3 answered,/p; s/^rtt .* = ([^/]*)\/([^/]*).*/\2 ms/p' "$dir/ping.log" | paste -sd ' ')"
    done
}

show_services() {
    headline "What gatun knows, in the words of ipvsadm, while wrk holds 20 connections"
    start client "$dir/wrk.log" wrk -t 1 -c 20 -d 3 "http://$vip/"
    local wrk=$!
    sleep 1.5
    show gatun-ipvsadm -Ln
    wait "$wrk" || fail "wrk: $(cat "$dir/wrk.log")"
    no_failed_request
    tell "wrk: $(grep Requests/sec "$dir/wrk.log" | tr -s ' ') on kept connections"
}

drain_a_server() {
    headline "rs1 is drained and brought back while wrk opens connection after connection"
    local web=tcp/$vip:80 rs1=198.18.2.11:80 before after
    start client "$dir/wrk.log" wrk -t 1 -c 20 -d 6 -H 'Connection: close' "http://$vip/"
    local wrk=$!
    sleep 1
    # What is left after two seconds is in TIME_WAIT.
    show gatunctl real drain "$web" "$rs1" --deadline 2 --wait
    query_is "\"$rs1\" not in reals" || fail "rs1 was drained, and is still there"
    show gatunctl real list "$web"
    show gatunctl real add "$web" "$rs1"
    before=$(query "reals[\"$rs1\"][\"conns\"]")
    wait "$wrk" || fail "wrk: $(cat "$dir/wrk.log")"
    no_failed_request
    after=$(query "reals[\"$rs1\"][\"conns\"]")
    ((after > before)) || fail "rs1 is back, and has got no connection: $before before, $after now"
    tell "wrk:$(grep 'requests in' "$dir/wrk.log"), 0 failed requests; $((after - before)) of them by rs1 since it is back"
}

show_a_trace() {
    headline "Where a packet would go, and why"
    show gatunctl trace tcp 198.18.1.1:40000 "$vip:80"
    grep -q '^it would go to' "$dir/said" || fail "it would not be forwarded"
}

show_a_drop() {
    headline "5 ACKs that belong to no connection: thrown away, and by name"
    local before after
    before=$(query 'drops("tcp_no_connection")')
    in_ns "$prefix" client "$here/frames.py" stray-ack "$vip" 5 20
    within 2 query_is "drops(\"tcp_no_connection\") == $((before + 5))" || {
        after=$(query 'drops("tcp_no_connection")')
        fail "5 ACKs of no connection moved the counter tcp_no_connection from $before to $after"
    }
    show gatunctl drops tcp_no_connection
}

show_metrics() {
    headline "The same for Prometheus"
    local line
    line=$(curl -sf --unix-socket "$dir/gatun.sock" http://gatun/metrics | grep '^gatun_drops_total.*tcp_no_connection') ||
        fail "/metrics does not have it"
    tell "$ curl --unix-socket gatun.sock http://gatun/metrics | grep '^gatun_drops_total.*tcp_no_connection'"
    indent <<<"$line"
}

show_the_end() {
    headline "SIGTERM: gatun drains, and gives account of every frame"
    local code=0 lines
    lines=$(wc -l <"$dir/gatun.log")
    kill -TERM "$gatun_pid"
    wait "$gatun_pid" || code=$?
    gatun_pid=
    tail -n "+$((lines + 1))" "$dir/gatun.log" | indent
    ((code == 0)) || fail "gatun ended with exit code $code"
    tail -n "+$((lines + 1))" "$dir/gatun.log" | grep -qi balance || fail "no balance at the end"
}

say_what_to_try() {
    headline "Everything is left running (KEEP=1). To try, in another terminal:"
    local sudo='' command
    [[ -z ${SUDO_USER:-} ]] || sudo='sudo '
    local client="${sudo}ip netns exec $prefix-client"
    while read -r command; do echo "        $command"; done <<END
# requests, pings, the way
$client curl http://$vip/
$client ping $vip
$client traceroute -n -T -p 80 $vip
$client curl http://[$vip6]/
$client ping $vip6
$client wrk -t 1 -c 50 -d 10 http://$vip/
# what gatun knows
$sudo$bin/gatunctl top --socket $dir/gatun.sock
$sudo$bin/gatunctl drops --socket $dir/gatun.sock
${sudo}env GATUN_SOCKET=$dir/gatun.sock $bin/gatun-ipvsadm -Ln
$sudo$gatun status --connections --socket $dir/gatun.sock
# take rs2 out of service when its connections have ended; have it again
$sudo$bin/gatunctl real drain tcp/$vip:80 198.18.2.12:80 --deadline 60 --socket $dir/gatun.sock
$sudo$bin/gatunctl real undrain tcp/$vip:80 198.18.2.12:80 --socket $dir/gatun.sock
# the configuration as a file, and who changed what
$sudo$bin/gatunctl config export --socket $dir/gatun.sock
$sudo$bin/gatunctl config history --socket $dir/gatun.sock
# packets as the servers see them
${sudo}ip netns exec $prefix-rs1 tcpdump -n -i eth0
# remove everything
$sudo$here/demo.sh remove $prefix
END
}

# --- their tools ---

headline() {
    step=$((step + 1))
    title=$1
    if [[ -t 1 ]]; then printf '\n\033[1m[%2d/%d] %s\033[0m\n' "$step" "$steps" "$1"; else printf '\n[%2d/%d] %s\n' "$step" "$steps" "$1"; fi
}

tell() { echo "        $*"; }

indent() { sed 's/^/        /'; }

quietly() { "$@" >/dev/null 2>&1; }

milliseconds() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# within SECONDS COMMAND...: until the command succeeds, or the time is over.
within() {
    local end=$(($(milliseconds) + $1 * 1000))
    until "${@:2}"; do
        (($(milliseconds) < end)) || return 1
        sleep 0.02
    done
}

# start ROLE LOG COMMAND...: in the background, in a namespace. $! is the command itself.
start() {
    (exec ip netns exec "$prefix-$1" "${@:3}" >"$2" 2>&1 </dev/null 3>&- 4>&-) &
}

gatun_is_ready_or_gone() { grep -qw ready "$dir/gatun.log" || ! kill -0 "$gatun_pid" 2>/dev/null; }

gatun_status() { "$gatun" status --socket "$dir/gatun.sock" "$@"; }

# A Python expression over `gatun status --json`.
query() {
    gatun_status --json | /usr/bin/python3 -c '
import json, sys
status = json.load(sys.stdin)
reals = {real["address"]: real for service in status["services"] if service["name"] == "web" for real in service["reals"]}
drops = lambda reason: sum(lcore["drops"].get(reason, 0) for lcore in status["lcores"])
print(eval(sys.argv[1]))' "$1"
}

query_is() { [[ $(query "$1") == True ]]; }

# show PROGRAM ARGUMENTS...: the command as one types it, and what it says.
show() {
    tell "$ $*"
    GATUN_SOCKET=$dir/gatun.sock "$bin/$1" "${@:2}" >"$dir/said" 2>&1 || fail "$*: $(cat "$dir/said")"
    indent <"$dir/said"
}

no_failed_request() {
    ! grep -E 'Socket errors|Non-2xx' "$dir/wrk.log" >"$dir/failed" || fail "requests failed: $(cat "$dir/failed")"
}

check_surroundings() {
    local tool missing=()
    [[ $(id -u) == 0 ]] || abort "Network namespaces need root: run \`make demo\`, which asks sudo."
    for tool in ip ethtool sysctl nginx curl wrk ping /usr/bin/python3; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    ((${#missing[@]} == 0)) || abort "Missing: ${missing[*]}. \`make deps\` installs what the demo needs."
    for tool in "$gatun" "$bin/gatunctl" "$bin/gatun-ipvsadm"; do
        [[ -x $tool ]] || abort "There is no $tool. \`make demo\` builds it."
    done
}

abort() {
    echo "$*" >&2
    exit 1
}

fail() {
    echo
    echo "FAILED at step $step, $title:"
    echo "  $*"
    if [[ -s ${dir:-}/gatun.log ]]; then
        echo "The last lines of gatun's log:"
        tail -n 15 "$dir/gatun.log" | indent
    fi
    failed=1
    exit 1
} >&2

# However it ends: nothing of it stays, unless it is to be kept.
finish() {
    local code=$?
    set +e
    trap '' INT TERM HUP PIPE
    exec 1>&3 2>&4
    if ((code == 0)) && [[ $keep ]]; then exit 0; fi
    case $code in
        0) ;;
        129 | 130 | 141 | 143) echo; echo "Interrupted at step $step; removing what was made." ;;
        *) [[ ${failed:-} ]] || echo "FAILED at step $step, ${title:-start}." ;;
    esac >&2
    net_down "$prefix" "$dir" 2>/dev/null
    if ((code == 0)); then
        echo
        echo "All of it worked, in $((SECONDS - began)) s. Nothing is left behind; KEEP=1 make demo leaves it running."
    fi
    exit "$code"
}

if [[ ${1:-} == remove && ${2:-} == gt[0-9]* && $# == 2 ]]; then
    [[ $(id -u) == 0 ]] || abort "Removing needs root: sudo $0 $*"
    set +e
    net_down "$2" "/tmp/$2"
elif (($# == 0)); then
    main
else
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
