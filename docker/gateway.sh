#!/bin/sh
# Gives gatun the two interfaces of its container: named as in conf/demo.toml, and without addresses, so that the kernel
# answers nothing. Then runs the command.
set -eu

port() { # NAME SUBNET-PREFIX
    device=$(ip -o -4 addr show | awk -v prefix="$2" 'index($4, prefix) == 1 { print $2; exit }')
    ip addr flush dev "$device"
    ip link set "$device" down
    ip link set "$device" name "$1"
    ip link set "$1" up
}

port gt-wan 198.18.1.
port gt-lan 198.18.2.
exec "$@"
