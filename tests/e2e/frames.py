#!/usr/bin/python3
"""Sends frames that no well-behaved kernel sends, from the network namespace it runs in.

    frames.py KIND TARGET COUNT [RATE]

TARGET is an address of either family.
KIND is what the gateway is to be bothered with:
    stray-ack    a TCP segment of no connection, to TARGET:80
    who-has      ARP requests or neighbour solicitations for TARGET
    ping         echo requests to TARGET
    ttl1         TCP segments to TARGET:80 whose TTL ends at the gateway
    dead-port    SYNs to a port of TARGET without a service
    no-server    SYNs to TARGET:81, which a test gives a service without servers
    too-big      datagrams to TARGET:5353, longer than 1,400 bytes and not to be fragmented
COUNT frames go out, at RATE a second (without it as fast as may be). Source ports are from 512 to 1023, where no kernel's
connections are.
"""

import socket
import struct
import sys
import time

GATEWAY_MAC = bytes.fromhex("0200000001fe")
OWN_MAC = bytes.fromhex("020000000101")
OWN_ADDRESSES = {4: socket.inet_aton("198.18.1.1"), 16: socket.inet_pton(socket.AF_INET6, "2001:db8:1::1")}
ACK, SYN = 0x10, 0x02
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(kind, payload, to=GATEWAY_MAC):
    return to + OWN_MAC + struct.pack("!H", kind) + payload


def ip(target, protocol, payload, ttl=64, to=GATEWAY_MAC):
    """A packet of the family of its target, an address in 4 or 16 bytes."""
    own = OWN_ADDRESSES[len(target)]
    if len(target) == 16:
        header = struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, ttl, own, target)
        return ethernet(0x86DD, header + payload, to)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0x4000, ttl, protocol, 0, own, target)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ethernet(0x0800, header + payload, to)


def summed(target, protocol, payload, at):
    """The payload with its checksum, which stands at an offset of it."""
    pseudo = OWN_ADDRESSES[len(target)] + target + struct.pack("!II", len(payload), protocol)
    return payload[:at] + struct.pack("!H", checksum(pseudo + payload)) + payload[at + 2:]


def tcp(target, sport, dport, flags, ttl=64):
    segment = struct.pack("!HHIIBBHHH", sport, dport, 1000, 1000, 0x50, flags, 8192, 0, 0)
    return ip(target, TCP, summed(target, TCP, segment, 16), ttl)


def udp(target, sport, dport, payload):
    return ip(target, UDP, summed(target, UDP, struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload, 6))


def ping(target, n):
    if len(target) == 16:
        return ip(target, ICMPV6, summed(target, ICMPV6, struct.pack("!BBHHH", 128, 0, 0, 7, n), 2))
    echo = struct.pack("!BBHHH", 8, 0, 0, 7, n)
    return ip(target, ICMP, echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:])


def who_has(target):
    """Asks for the target's MAC address: by ARP, or by a neighbour solicitation to the group of the target."""
    if len(target) == 16:
        group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + target[13:]
        message = struct.pack("!BBHI16sBB6s", 135, 0, 0, 0, target, 1, 1, OWN_MAC)
        return ip(group, ICMPV6, summed(group, ICMPV6, message, 2), 255, b"\x33\x33" + group[12:])
    request = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, OWN_MAC, OWN_ADDRESSES[4], bytes(6), target)
    return ethernet(0x0806, request, b"\xff" * 6)


KINDS = {
    "stray-ack": lambda target, n: tcp(target, 512 + n, 80, ACK),
    "who-has": lambda target, n: who_has(target),
    "ping": ping,
    "ttl1": lambda target, n: tcp(target, 512 + n, 80, SYN, ttl=1),
    "dead-port": lambda target, n: tcp(target, 512 + n, 9, SYN),
    "no-server": lambda target, n: tcp(target, 512 + n, 81, SYN),
    "too-big": lambda target, n: udp(target, 512 + n, 5353, bytes(1450)),
}


def main(kind, target, count, rate=0):
    target = socket.inet_pton(socket.AF_INET6 if ":" in target else socket.AF_INET, target)
    count, rate = int(count), int(rate)
    # The same few hundred frames again and again: what is built once is sent at full speed.
    frames = [KINDS[kind](target, n) for n in range(min(count, 512))]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        start = time.monotonic()
        for n in range(count):
            wire.send(frames[n % len(frames)])
            if rate and n % 32 == 31:
                time.sleep(max(0.0, start + n / rate - time.monotonic()))


if len(sys.argv) not in (4, 5) or sys.argv[1] not in KINDS:
    sys.exit(__doc__)
main(*sys.argv[1:])
