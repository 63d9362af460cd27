#!/usr/bin/python3
"""Stands where psecd-field should: says hello as it should, then what $ODD (beside it) says. Not a line of psec's code.

Learns the build id from the supervisor's own hello, and numbers and lengths from psecd/wire/wire.h.
"""
import array
import os
import select
import socket
import struct
import sys

HELLO, SAMPLES, CHECKED, EVENT, PEER, RUNNING, ALIVE, SHUTDOWN, STOP = 1, 30, 33, 36, 52, 54, 50, 51, 13


def receive(s):
    fds = array.array("i")
    data, anc, _, _ = s.recvmsg(65536, 64)
    for level, kind, payload in anc:
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(payload)
    if len(data) < 8:
        sys.exit(0)
    kind, length = struct.unpack_from("II", data)
    return kind, data[8:], list(fds)


def say(s, kind, body=b""):
    s.send(struct.pack("II", kind, len(body)) + body)


boss = socket.socket(fileno=3)
kind, hello, _ = receive(boss)
assert kind == HELLO
say(boss, HELLO, hello)
say(boss, RUNNING, bytes(160))
what = open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "odd")).read().strip()
while True:
    kind, body, fds = receive(boss)
    if kind == ALIVE:
        say(boss, ALIVE)
    if kind in (SHUTDOWN, STOP):
        sys.exit(0)
    if kind != PEER:
        continue
    core = socket.socket(fileno=fds[0])
    if what != "no-hello":
        say(core, HELLO, hello if what != "other-build" else hello.replace(b"0", b"1"))
    sample = struct.pack("<hhBxxxqqdd", 99, 0, 0, 1, 1, 1.0, 1.0)
    if what == "bad-device":
        say(core, SAMPLES, struct.pack("<Ixxxx", 1) + sample + bytes(63 * len(sample)))
    elif what == "from-the-future":
        sample = struct.pack("<hhBxxxqqdd", 0, 0, 0, 1 << 62, 1, 1.0, 1.0)
        say(core, SAMPLES, struct.pack("<Ixxxx", 1) + sample + bytes(63 * len(sample)))
    elif what == "too-many":
        say(core, SAMPLES, struct.pack("<Ixxxx", 4000000000) + bytes(64 * len(sample)))
    elif what == "flood":
        for n in range(3000):
            event = struct.pack("<QB24s32s120sxxxxxxxq", n + 1, 2, b"state", b"meter%d" % (n % 100), b"number %d" % n, 1)
            say(core, EVENT, event)
    elif what == "unasked-check":
        # passed, with numbers as they should be: 3 doubles and the instants, then what is control's own
        say(core, CHECKED, struct.pack("<ixxxxddd", 1, 500.0, 800.0, 300.0) + bytes(104 - 32))
    elif what == "short":
        say(core, SAMPLES, b"xx")
    elif what == "unknown-kind":
        say(core, 4711)
    elif what == "not-mine":
        say(core, SHUTDOWN)
    else:
        say(core, ALIVE)
