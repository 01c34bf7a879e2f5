#!/usr/bin/python3
"""A switch with one trunk port, for kernels that have no VLANs.

    trunk.py TRUNK VLAN=PORT...     as in trunk.py trunk1 100=gt-wan 200=gt-lan

Frames from a port leave by the trunk with the tag of its VLAN; tagged frames from the trunk leave by the port of theirs.
"""

import select
import socket
import struct
import sys

SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING, ALL = 263, 8, 4, 3


def attach(name):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    wire.bind((name, ALL))
    return wire


def receive(wire):
    """A frame and its VLAN, which the kernel takes out of it; None for what left here."""
    frame, extra, _, sender = wire.recvmsg(65535, 64)
    if sender[2] == PACKET_OUTGOING:
        return None
    vlan = next((struct.unpack_from("=IIIHHHH", data)[5] for *_, data in extra), 0)
    return frame, vlan & 0xFFF


def main(trunk, *ports):
    trunk = attach(trunk)
    by_vlan = {int(vlan): attach(name) for vlan, name in (port.split("=") for port in ports)}
    vlans = {port: vlan for vlan, port in by_vlan.items()}
    while True:
        for wire in select.select([trunk, *vlans], [], [])[0]:
            match receive(wire), vlans.get(wire):
                case (frame, vlan), None if vlan in by_vlan:
                    by_vlan[vlan].send(frame)
                case (frame, _), int(vlan):
                    trunk.send(frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:])


if len(sys.argv) < 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
