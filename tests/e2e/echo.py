#!/usr/bin/python3
"""A UDP server that says who it is and whom it saw, and its client.

    echo.py serve NAME ADDRESS PORT [no-checksum]
    echo.py ask ADDRESS PORT TEXT      prints the answer; exit 1 when there is none within two seconds
"""

import socket
import sys

SO_NO_CHECK = 11


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(name, address, port, checksums=True):
    with socket.socket(family(address), socket.SOCK_DGRAM) as server:
        if not checksums:
            server.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        server.bind((address, int(port)))
        while True:
            text, client = server.recvfrom(65535)
            server.sendto(b"%s saw %s:%d: %s" % (name.encode(), client[0].encode(), client[1], text), client)


def ask(address, port, text):
    with socket.socket(family(address), socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect((address, int(port)))
        client.send(text.encode())
        try:
            print(client.recv(65535).decode())
        except OSError as error:
            sys.exit(f"no answer from {address}:{port}: {error}")


match sys.argv[1:]:
    case ["serve", name, address, port]:
        serve(name, address, port)
    case ["serve", name, address, port, "no-checksum"]:
        serve(name, address, port, checksums=False)
    case ["ask", address, port, text]:
        ask(address, port, text)
    case _:
        sys.exit(__doc__)
