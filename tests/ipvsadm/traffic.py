"""Traffic for the transcripts: `traffic.py serve` answers on TCP 80 and throws UDP 53 away; `tcp HOST PORT` opens a
connection, asks, and keeps it; `udp HOST PORT BYTES` sends so many bytes in large datagrams."""

import socket
import sys
import threading
import time


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def serve():
    tcp = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind(("::", 53))

    def answer(conn):
        while data := conn.recv(4096):
            conn.sendall(data)
        conn.close()

    def drain():
        while True:
            udp.recv(65536)

    threading.Thread(target=drain, daemon=True).start()
    while True:
        conn, _ = tcp.accept()
        threading.Thread(target=answer, args=(conn,), daemon=True).start()


def tcp(host, port):
    conn = socket.socket(family(host))
    conn.settimeout(5)
    conn.connect((host, int(port)))
    conn.sendall(b"hello")
    conn.recv(100)
    print("connected", flush=True)
    time.sleep(600)


def udp(host, port, size):
    sock = socket.socket(family(host), socket.SOCK_DGRAM)
    sock.connect((host, int(port)))
    left = int(size)
    while left > 0:
        sock.send(bytes(60000))
        left -= 60000


{"serve": serve, "tcp": tcp, "udp": udp}[sys.argv[1]](*sys.argv[2:])
