#!/usr/bin/env bash
# gatun between two testpmds, with no code of ours but gatun: one sends UDP of 256 clients to a VIP (txonly), the other
# plays the real server and counts what comes (rxonly). One way only.
#
#   benches/rig/stock/testpmd.sh [SECONDS]        needs root, dpdk-testpmd (dpdk-dev) and target/release/gatun
#
# CPU 0 has the sender, CPU 1 gatun, CPU 2 the sink, if there is a third; with two, sender and sink share one, where both
# spin, and little gets through. The sender knows no window, so gatun's queues overflow, and it drops what the sink does
# not take. So the result says that gatun forwards what stock tools send, not how much it can: see `make bench-rig`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

die() {
    echo "testpmd.sh: $2" >&2
    exit "$1"
}
seconds=${1:-10}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die 2 "SECONDS is ${seconds@Q}: write a whole number from 1 on"
gatun=$PWD/target/release/gatun
[[ -x $gatun ]] || die 1 "there is no $gatun: make release"
command -v dpdk-testpmd >/dev/null || die 1 "there is no dpdk-testpmd: apt-get install dpdk-dev"
pages=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
[[ -w $pages ]] || die 1 "$pages can not be written: run it as root"

before=$(<$pages)
dir=$(mktemp -d)
started=()
# The testpmds first, and not by a question: one whose other end is gone does not end.
cleanup() {
    local pid
    for pid in "${started[@]:1}"; do kill -KILL "$pid" 2>/dev/null || true; done
    if ((${#started[@]})); then kill "${started[0]}" 2>/dev/null || true; fi
    wait 2>/dev/null || true
    echo "$before" >$pages
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
echo $((before + 512)) >$pages

cat >"$dir/gatun.toml" <<EOF
[eal]
pci = false
memory_mb = 384
[lcores]
master = 0
workers = [1]
idle = "spin"
[tables]
connections = 100_000
reals = 64
neighbors = 256
mbufs = 16_383
[[port]]
name = "wan"
device = "net_vhost0,iface=$dir/wan.sock"
mac = "02:00:00:00:00:01"
[[port]]
name = "lan"
device = "net_vhost1,iface=$dir/lan.sock"
mac = "02:00:00:00:00:02"
[[interface]]
port = "wan"
addresses = ["198.18.0.254/24"]
[[interface]]
port = "lan"
addresses = ["198.19.0.254/24"]
[[route]]
to = "0.0.0.0/0"
via = "198.18.0.1"
# testpmd answers no ARP.
[[neighbor]]
address = "198.18.0.1"
mac = "02:00:00:00:00:03"
[[neighbor]]
address = "198.19.0.1"
mac = "02:00:00:00:00:04"
[[laddr_pool]]
name = "lan"
addresses = ["198.19.0.100"]
[[service]]
protocol = "udp"
address = "198.18.0.2:9"
scheduler = "rr"
real = [{ address = "198.19.0.1:9" }]
EOF

"$gatun" run --config "$dir/gatun.toml" --socket "$dir/gatun.sock" 2>"$dir/gatun.log" &
started+=($!)
for _ in {1..100}; do
    grep -q 'ready after' "$dir/gatun.log" && break
    sleep 0.1
done
grep -q 'ready after' "$dir/gatun.log" || die 1 "gatun did not start: $(tail -n 1 "$dir/gatun.log")"

sink_cpu=$(($(nproc) > 2 ? 2 : 0))
# testpmd CPU SOCKET OPTION...
testpmd() {
    exec stdbuf -oL dpdk-testpmd --in-memory --single-file-segments --no-telemetry --no-pci --lcores "0@$1,1@$1" -m 128 \
        --log-level='*:error' --vdev "net_virtio_user0,path=$dir/$2,packed_vq=1,mrg_rxbuf=0,in_order=1,queue_size=1024" \
        -- --nb-cores=1 --txd=1024 --rxd=1024 --total-num-mbufs=8192 --disable-link-check --stats-period=1 "${@:3}"
}
testpmd "$sink_cpu" lan.sock --forward-mode=rxonly >"$dir/sink.log" 2>&1 &
started+=($!)
testpmd 0 wan.sock --forward-mode=txonly --txonly-multi-flow --tx-ip=100.64.0.1,198.18.0.2 --tx-udp=9,9 \
    --eth-peer=0,02:00:00:00:00:01 >"$dir/sender.log" 2>&1 &
started+=($!)
sleep $((seconds + 3))

# The first second is the start.
awk '/Rx-pps:/ && ++n > 1 { sum += $2; m++ }
    END { if (m) printf "%.2f Mpps through gatun, the mean of %d seconds\n", sum / m / 1e6, m; else exit 1 }' \
    "$dir/sink.log" || die 1 "the sink counted nothing: $(tail -n 1 "$dir/sink.log")"
timeout 10 "$gatun" status --socket "$dir/gatun.sock" | sed -n '/^ lcore/,$p'
