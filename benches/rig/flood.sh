#!/usr/bin/env bash
# Honest clients beside a SYN flood that fills the tables of two workers, on two CPUs. The program itself, over vhost-user:
# one generator floods one port, another one opens and closes whole TCP connections over two others.
#
#   benches/rig/flood.sh [SYNS A SECOND] [CONNECTIONS A SECOND]      needs root, two CPUs and `make release`
#
# An honest client sends a SYN or a FIN again that is not answered, as kernels do: after 1, 3, 7 seconds (RFC 6298).
#
# It fails when an honest connection does, or when the flood did not press out half-open connections meanwhile. Workers and
# generators, two of each, share the CPUs: what they reach is not how fast gatun is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

die() {
    echo "flood.sh: $2" >&2
    exit "$1"
}
syns=${1:-200000} honest=${2:-2000}
for rate in "$syns" "$honest"; do
    [[ $rate =~ ^[1-9][0-9]*$ ]] || die 2 "the rate is ${rate@Q}: write a whole number from 1 on"
done
bin=$PWD/target/release
for program in gatun gatun-loadgen; do
    [[ -x $bin/$program ]] || die 1 "there is no $bin/$program: make release"
done
[[ $(id -u) == 0 ]] || die 1 "it opens vhost-user sockets on huge pages: run it as root"
if [[ ! ${WITH_PAGES-} ]]; then WITH_PAGES=1 exec benches/huge-pages.sh 896 benches/rig/flood.sh "$syns" "$honest"; fi

dir=$(mktemp -d)
started=()
cleanup() {
    if ((${#started[@]})); then kill "${started[@]}" 2>/dev/null || true; fi
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

reals=$(printf '{ address = "10.0.0.%d:80" }, ' {1..8})
cat >"$dir/gatun.toml" <<TOML
[eal]
pci = false
memory_mb = 512
args = ["--log-level=lib.vhost:error"]
[lcores]
master = 0
workers = [1, 2]
cpus = { 0 = 0, 1 = 0, 2 = 1 }
[tables]
connections = 1_000_000
mbufs = 32_767
[[port]]
name = "wan"
device = "net_vhost0,iface=$dir/wan"
[[port]]
name = "lan"
device = "net_vhost1,iface=$dir/lan"
[[port]]
name = "flood"
device = "net_vhost2,iface=$dir/flood"
[[interface]]
port = "wan"
addresses = ["198.18.0.1/16"]
[[interface]]
port = "lan"
addresses = ["198.19.0.1/16"]
[[interface]]
port = "flood"
addresses = ["192.0.2.1/24"]
[[laddr_pool]]
name = "lan"
addresses = ["198.19.128.0-198.19.128.7"]
[[route]]
to = "100.64.0.0/16"
via = "198.18.2.0"
[[route]]
to = "100.65.0.0/16"
via = "192.0.2.9"
[[route]]
to = "10.0.0.0/8"
via = "198.19.2.0"
[[service]]
protocol = "tcp"
address = "198.18.1.1:80"
scheduler = "rr"
real = [${reals%, }]
TOML

"$bin/gatun" run --config "$dir/gatun.toml" --socket "$dir/gatun" --state "$dir/state" >"$dir/log" 2>&1 &
started+=($!)
for ((i = 0; ; i++)); do
    [[ -S $dir/flood ]] && break
    ((i < 100)) && kill -0 "${started[0]}" 2>/dev/null || die 1 "gatun did not start: $(tail -n 3 "$dir/log")"
    sleep 0.1
done

# device NUMBER SOCKET
device() { echo "net_virtio_user$1,path=$dir/$2,packed_vq=1,mrg_rxbuf=0,in_order=1,queue_size=4096"; }
vip=198.18.1.1:80
"$bin/gatun-loadgen" conn --json --cpu 0 --rate "$honest" --repeat 2 --warmup 1 --duration 27 --device "$(device 0 wan)" \
    --device "$(device 1 lan)" --clients 100.64.0.0/16 --vip $vip --servers 10.0.0.0/8 --routers 198.18.2.0/32 \
    --routers 198.19.2.0/32 --gateway 198.18.0.1 --gateway 198.19.0.1 >"$dir/honest.json" 2>"$dir/honest" &
started+=($!)
"$bin/gatun-loadgen" synflood --json --cpu 1 --rate "$syns" --warmup 0 --duration 18 --device "$(device 0 flood)" \
    --clients 100.65.0.0/16 --vip $vip --routers 192.0.2.9/32 --gateway 192.0.2.1 >"$dir/flood.json" 2>"$dir/said" &
started+=($!)
echo "... $syns SYNs and $honest whole connections a second, for 18 seconds; those that were begun have 8 more"
wait "${started[2]}" || die 1 "the flood: $(tail -n 3 "$dir/said")"
wait "${started[1]}" || die 1 "honest connections: $(cat "$dir/honest.json" "$dir/honest")"
"$bin/gatun" status --json --socket "$dir/gatun" >"$dir/status.json"

python3 - "$dir" <<'PYTHON'
import json, sys

def read(name):
    with open(f"{sys.argv[1]}/{name}.json") as file:
        return json.load(file)

flood, honest, status = read("flood"), read("honest"), read("status")
lcores = status["lcores"]
pressed_out = [lcore["counters"].get("seats_from_half_open", 0) for lcore in lcores]
late = honest["latency_us"]
print(f"the flood: {flood['done_per_second']:,.0f} SYNs a second; half-open connections pressed out by worker: {pressed_out}")
print(
    f"honest connections: {honest['done']:,} whole, {honest['repeated']} packets sent again, {honest['lost']} lost;"
    f" SYN to SYN-ACK {late['p50']:.0f} us, 99.9 % {late['p99_9']:.0f} us, at most {late['most'] / 1e6:.3f} s"
)
failed = honest["lost"] + honest["wrong"]
if failed or honest["repeated"]:
    print(f"thrown away by the generators themselves: {flood['unsent']} of the flood, {honest['unsent']} of the honest ones")
    # A full queue of a device, say, because something else had the CPU meanwhile.
    for lcore in lcores:
        print(f"worker {lcore['id']}: {lcore['descheduled']} times descheduled, dropped {lcore['drops']}")
    for port in status["ports"]:
        print(f"port {port['name']}: {port['stats']}")
sys.exit(0 if failed == 0 and min(pressed_out) > 0 else 1)
PYTHON
