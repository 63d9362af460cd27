#!/usr/bin/env python3
"""A serial line over a pty with hand-made meters on it, and, when told to, another master. It shares no code with psec.

usage: line.py LINK [--baud N] [--units 1,7] [--delay S] [--master UNIT] [--echo]

LINK becomes the line. Every unit is an ABB B23 by FC 43 and holds 0 in every register. A question at another rate than N is noise
to it: a pty shows the rate that its user set. --delay: how long a unit thinks. --master: after every third question somebody else asks
UNIT, which answers. Prints "ready", and "no unit N" for a question to nobody; ended by SIGTERM it prints "questions N answered N most N", most in any second."""
import argparse, os, pty, select, signal, struct, sys, termios, time, tty

RATES = {getattr(termios, f"B{n}"): n for n in (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)}
ABB = b"\x2b\x0e\x01\x01\x00\x00\x03\x00\x03ABB\x01\x0bB23 112-100\x02\x032.1"


def crc(data):
    c = 0xFFFF
    for b in data:
        c ^= b
        for _ in range(8):
            c = c >> 1 ^ 0xA001 if c & 1 else c >> 1
    return struct.pack("<H", c)


def frame(unit, pdu):
    adu = bytes([unit]) + pdu
    return adu + crc(adu)


def answer(pdu):
    if pdu[0] == 0x2B:
        return ABB
    if pdu[0] in (3, 4):
        n = struct.unpack(">H", pdu[3:5])[0]
        return bytes([pdu[0], 2 * n]) + bytes(2 * n) if n < 100 else bytes([pdu[0] | 0x80, 3])
    return bytes([pdu[0] | 0x80, 1])


def main():
    p = argparse.ArgumentParser()
    p.add_argument("link")
    p.add_argument("--baud", type=int, default=9600)
    p.add_argument("--units", default="1")
    p.add_argument("--delay", type=float, default=0)
    p.add_argument("--master", type=int)
    p.add_argument("--echo", action="store_true")
    o = p.parse_args()
    units = {int(u) for u in o.units.split(",") if u}
    master, slave = pty.openpty()
    tty.setraw(slave)
    if os.path.islink(o.link):
        os.unlink(o.link)
    os.symlink(os.ttyname(slave), o.link)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    asked, answered, data, due = [], 0, b"", []
    print("ready", flush=True)
    try:
        while True:
            now = time.monotonic()
            while due and due[0][0] <= now:
                os.write(master, due.pop(0)[1])
            wait = due[0][0] - now if due else None
            if data and (wait is None or wait > 0.002):
                wait = 0.002
            ready, _, _ = select.select([master], [], [], wait)
            if ready:
                data += os.read(master, 300)
                continue
            if not data:
                continue
            question, data = data, b""
            asked.append(now)
            if RATES.get(termios.tcgetattr(slave)[5]) != o.baud or len(question) < 4 or crc(question[:-2]) != question[-2:]:
                continue
            if o.echo:
                os.write(master, question)
            if question[0] in units:
                answered += 1
                due.append((now + o.delay, frame(question[0], answer(question[1:-2]))))
            else:
                print("no unit", question[0], flush=True)
            if o.master and len(asked) % 3 == 0:
                theirs = b"\x03\x00\x10\x00\x02"
                due.append((now + o.delay + 0.03, frame(o.master, theirs) + frame(o.master, answer(theirs))))
            due.sort()
    finally:
        most = max((sum(1 for u in asked if t <= u < t + 1) for t in asked), default=0)
        print("questions", len(asked), "answered", answered, "most", most, flush=True)
        os.unlink(o.link)


main()
