#!/usr/bin/env bash
# The network of the demo and of the end-to-end tests: five network namespaces, joined by veth pairs.
#
#   client 198.18.1.1     --- gt-wan [gw] gt-lan --- [sw: a bridge] --- rs1 198.18.2.11, rs2 198.18.2.12
#          2001:db8:1::1                                                    2001:db8:2::11   2001:db8:2::12
#
# Every namespace's name starts with a prefix, so that many such networks live side by side; interfaces and addresses are
# the same in each. Nothing outside of these namespaces is touched, and no veth end is ever seen outside of them.
#
# Sourced, it gives the functions below. Run, it does one of them:
#   net.sh up PREFIX | net.sh down PREFIX [DIR] | net.sh guard PREFIX DIR

NET_ROLES=(client gw sw rs1 rs2)

# The MAC addresses of the gateway's ends, for those who build frames by hand.
NET_MAC_WAN=02:00:00:00:01:fe
NET_MAC_LAN=02:00:00:00:02:fe

# in_ns PREFIX ROLE COMMAND...: runs the command in the namespace, in place of this shell if it is in the background.
in_ns() {
    ip netns exec "$1-$2" "${@:3}"
}

# net_host PREFIX ROLE ADDRESS/LENGTH...: an end host, whose interface eth0 is there already.
net_host() {
    local address
    # Its addresses are its own: it looks for no router, and does not wait to see whether somebody else has them.
    in_ns "$1" "$2" sysctl -qw net.ipv6.conf.eth0.accept_ra=0 net.ipv6.conf.eth0.accept_dad=0
    for address in "${@:3}"; do ip -n "$1-$2" addr add "$address" dev eth0; done
    ip -n "$1-$2" link set eth0 up
    # A veth pair leaves checksums to hardware that it does not have, and gatun updates checksums, it does not make them.
    in_ns "$1" "$2" ethtool -K eth0 tx off >/dev/null
    # As many connections as a test may want.
    in_ns "$1" "$2" sysctl -qw net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_max_tw_buckets=262144 \
        net.core.somaxconn=16384 net.ipv4.tcp_max_syn_backlog=16384
}

net_up() {
    local prefix=$1 role port
    for role in "${NET_ROLES[@]}"; do
        ip netns add "$prefix-$role"
        case $role in
            gw | sw) in_ns "$prefix" "$role" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 ;;
        esac
        ip -n "$prefix-$role" link set lo up
    done

    ip -n "$prefix-gw" link add gt-wan address "$NET_MAC_WAN" type veth \
        peer name eth0 netns "$prefix-client" address 02:00:00:00:01:01
    ip -n "$prefix-gw" link add gt-lan address "$NET_MAC_LAN" type veth peer name gw netns "$prefix-sw"
    ip -n "$prefix-sw" link add rs1 type veth peer name eth0 netns "$prefix-rs1" address 02:00:00:00:02:11
    ip -n "$prefix-sw" link add rs2 type veth peer name eth0 netns "$prefix-rs2" address 02:00:00:00:02:12

    # The gateway's ends have no addresses: with one the kernel would answer, too.
    ip -n "$prefix-gw" link set gt-wan up
    ip -n "$prefix-gw" link set gt-lan up

    ip -n "$prefix-sw" link add br0 type bridge forward_delay 0 mcast_snooping 0
    for port in gw rs1 rs2; do ip -n "$prefix-sw" link set "$port" master br0 up; done
    ip -n "$prefix-sw" link set br0 up

    net_host "$prefix" client 198.18.1.1/24 2001:db8:1::1/64
    net_host "$prefix" rs1 198.18.2.11/24 2001:db8:2::11/64
    net_host "$prefix" rs2 198.18.2.12/24 2001:db8:2::12/64
}

# The namespaces of a prefix that exist.
net_names() {
    local role
    for role in "${NET_ROLES[@]}"; do
        if [[ -e /run/netns/$1-$role ]]; then echo "$1-$role"; fi
    done
}

# The processes in them. Only what was started for this network can be there.
net_pids() {
    local name
    for name in $(net_names "$1"); do
        ip netns pids "$name" 2>/dev/null || true
    done
}

# net_down PREFIX [DIR]: ends what runs in the namespaces, removes them and the directory. Done twice, it does nothing more.
net_down() {
    local prefix=$1 dir=${2:-} name pids turn
    for turn in {1..40}; do
        pids=$(net_pids "$prefix")
        [[ -n $pids ]] || break
        if ((turn == 1)); then kill $pids 2>/dev/null; fi
        if ((turn == 30)); then kill -KILL $pids 2>/dev/null; fi
        sleep 0.1
    done
    for name in $(net_names "$prefix"); do
        ip netns del "$name" || true
    done
    if [[ -n $dir ]]; then rm -rf "$dir"; fi
}

# net_guard PREFIX DIR: waits until nobody holds the other end of its standard input any more, then removes everything. So
# a test leaves nothing behind, also when it is killed.
net_guard() {
    trap '' INT TERM HUP PIPE
    cat >/dev/null
    net_down "$@" >/dev/null 2>&1
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    set -euo pipefail
    case ${1:-} in
        up | guard) "net_$1" "${@:2}" ;;
        down) set +e; net_down "${@:2}" ;;
        *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
fi
