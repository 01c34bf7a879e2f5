#!/usr/bin/python3
"""Sends frames that no well-behaved kernel sends, from the network namespace it runs in.

    frames.py KIND TARGET COUNT [RATE]

KIND is what the gateway is to be bothered with:
    stray-ack    a TCP segment of no connection, to TARGET:80
    arp          ARP requests for TARGET
    ping         echo requests to TARGET
    ttl1         TCP segments to TARGET:80 whose TTL ends at the gateway
    dead-port    SYNs to a port of TARGET without a service
    no-server    SYNs to TARGET:81, which a test gives a service without servers
    too-big      datagrams to TARGET:5353, 1,478 bytes long and not to be fragmented
COUNT frames go out, at RATE a second (without it as fast as may be). Source ports are from 512 to 1023, where no kernel's
connections are.
"""

import socket
import struct
import sys
import time

GATEWAY_MAC = bytes.fromhex("0200000001fe")
OWN_MAC = bytes.fromhex("020000000101")
OWN_ADDRESS = socket.inet_aton("198.18.1.1")
ACK, SYN = 0x10, 0x02


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(kind, payload, to=GATEWAY_MAC):
    return to + OWN_MAC + struct.pack("!H", kind) + payload


def ipv4(target, protocol, payload, ttl=64):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0x4000, ttl, protocol, 0, OWN_ADDRESS, target)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return ethernet(0x0800, header + payload)


def tcp(target, sport, dport, flags, ttl=64):
    segment = struct.pack("!HHIIBBHHH", sport, dport, 1000, 1000, 0x50, flags, 8192, 0, 0)
    pseudo = OWN_ADDRESS + target + struct.pack("!BBH", 0, 6, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    return ipv4(target, 6, segment, ttl)


def udp(target, sport, dport, payload):
    # Without a checksum.
    return ipv4(target, 17, struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload)


def ping(target, n):
    echo = struct.pack("!BBHHH", 8, 0, 0, 7, n)
    return ipv4(target, 1, echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:])


def arp(target):
    request = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, OWN_MAC, OWN_ADDRESS, bytes(6), target)
    return ethernet(0x0806, request, b"\xff" * 6)


KINDS = {
    "stray-ack": lambda target, n: tcp(target, 512 + n, 80, ACK),
    "arp": lambda target, n: arp(target),
    "ping": ping,
    "ttl1": lambda target, n: tcp(target, 512 + n, 80, SYN, ttl=1),
    "dead-port": lambda target, n: tcp(target, 512 + n, 9, SYN),
    "no-server": lambda target, n: tcp(target, 512 + n, 81, SYN),
    "too-big": lambda target, n: udp(target, 512 + n, 5353, bytes(1450)),
}


def main(kind, target, count, rate=0):
    target, count, rate = socket.inet_aton(target), int(count), int(rate)
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
