#!/usr/bin/env python3
"""Meters that tell the truth until they are told to lie, each in a way of its own. It shares no code with psec.

usage: liar.py --host 127.63.1 --port 1502 --orders FILE --status FILE [--list]

Every lie of LIES has a meter (SunSpec 1, 203) at .10, .11 … in the order that --list prints, "HOST LIE" a line; .9 is one that
can lie in every way. What a meter says when it is honest: W counts 1000…1099, the energy is 50000 Wh. Every register of a lie
that could be taken for a value is POISON, so that no value taken from a lie looks like a true one.

FILE of orders holds lines "HOST LIE [N]" or "* own [N]": from now on each Nth (1st) answer is a lie; "HOST honest" ends it. The status
is JSON: {"lies": {HOST: how many were told}, "truths": {HOST: …}}. Prints "ready" when all listen.
"""
import argparse, asyncio, json, os, socket, struct

from images import chain, common, meter_203

POISON = 11111
HEAD = common("Liar", "Meter", "1", "L-1")
IMAGE = {a: r for base, regs in chain(40000, HEAD, meter_203(1000, 7000, 5000))["holding"].items() for a, r in enumerate(regs, base)}
W = 40000 + 2 + len(HEAD) + 2 + 16  # "SunS", model 1, ID and L of 203, its 17th register


def frame(t, unit, pdu, protocol=0, length=None):
    return struct.pack(">HHHB", t & 0xFFFF, protocol, len(pdu) + 1 if length is None else length, unit) + pdu


def poison(n, function=3, count=None):
    return bytes([function, (2 * n if count is None else count) & 0xFF]) + struct.pack(">H", POISON) * n


class Told:
    """One question, and the connection to lie on."""

    def __init__(self, writer, t, unit, n):
        self.writer, self.t, self.unit, self.n = writer, t, unit, n

    async def say(self, data):
        self.writer.write(data)
        await self.writer.drain()


# ---- the lies; each ends in no value at all

async def transaction(q):
    await q.say(frame(q.t + 1234, q.unit, poison(q.n)))


async def protocol(q):
    await q.say(frame(q.t, q.unit, poison(q.n), protocol=7))


async def unit(q):
    await q.say(frame(q.t, q.unit + 76, poison(q.n)))


async def length(q):
    await q.say(frame(q.t, q.unit, poison(q.n), length=0xFF00))


async def shorter(q):
    """The header ends the answer before its values."""
    await q.say(frame(q.t, q.unit, poison(q.n), length=4))


async def function(q):
    await q.say(frame(q.t, q.unit, poison(q.n, function=4)))


async def fewer(q):
    """A whole answer of fewer registers than were asked for."""
    await q.say(frame(q.t, q.unit, poison(q.n - 1)))


async def more(q):
    await q.say(frame(q.t, q.unit, poison(q.n + 1)))


async def count(q):
    """The byte count is the one asked for, the values are not."""
    await q.say(frame(q.t, q.unit, poison(q.n - 1, count=2 * q.n)))


async def exception(q):
    await q.say(frame(q.t, q.unit, bytes([0x83, 99])))


async def twice(q):
    """The answer and another one, in one piece."""
    await q.say(2 * frame(q.t, q.unit, poison(q.n)))


async def endless(q):
    """Answers to earlier questions, without an end."""
    for _ in range(20000):
        await q.say(frame(q.t - 1, q.unit, poison(q.n)))
    q.writer.close()


async def trickle(q):
    """One byte a second."""
    for byte in frame(q.t, q.unit, poison(q.n)):
        await q.say(bytes([byte]))
        await asyncio.sleep(1)


async def late(q):
    await asyncio.sleep(1.3)
    await q.say(frame(q.t, q.unit, poison(q.n)))


async def silent(q):
    pass


async def vanish(q):
    """Gone in the middle of the answer."""
    await q.say(frame(q.t, q.unit, poison(q.n))[:12])
    q.writer.close()


async def reset(q):
    await q.say(frame(q.t, q.unit, poison(q.n))[:9])
    q.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    q.writer.close()


LIES = {f.__name__: f for f in (transaction, protocol, unit, length, shorter, function, fewer, more, count, exception, twice, endless,
                                trickle, late, silent, vanish, reset)}


class Meter:
    def __init__(self, own):
        self.own, self.lie, self.every = own, None, 1
        self.truths = self.lies = self.asked = 0

    def truth(self, function, address, n):
        if function != 3 or not 1 <= n <= 125:
            return bytes([function | 0x80, 1])
        regs = dict(IMAGE)
        regs[W] = 1000 + self.truths % 100
        if any(address + i not in regs for i in range(n)):
            return bytes([0x83, 2])
        return bytes([3, 2 * n]) + b"".join(struct.pack(">H", regs[address + i]) for i in range(n))

    async def lie_to(self, q, lie):
        try:
            await lie(q)
        except ConnectionError:
            pass

    async def serve(self, reader, writer):
        lying = []
        try:
            while True:
                t, _, rest, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                pdu = await reader.readexactly(rest - 1)
                function, address, n = struct.unpack(">BHH", pdu[:5])
                self.asked += 1
                if self.lie and self.asked % self.every == 0:
                    self.lies += 1
                    # beside the next question, as a lie may take its time
                    lying.append(asyncio.create_task(self.lie_to(Told(writer, t, unit, n), self.lie)))
                    continue
                writer.write(frame(t, unit, self.truth(function, address, n)))
                self.truths += 1
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, struct.error):
            pass
        finally:
            for task in lying:
                task.cancel()
            writer.close()


def take_orders(path, meters):
    with open(path) as f:
        for line in f:
            host, name, *every = line.split()
            for m in meters.values() if host == "*" else [meters[host]]:
                m.every = int(every[0]) if every else 1
                m.lie = LIES.get(m.own if name == "own" else name)


async def main():
    p = argparse.ArgumentParser()
    p.add_argument("--host", required=True)
    p.add_argument("--port", type=int, default=1502)
    p.add_argument("--orders")
    p.add_argument("--status")
    p.add_argument("--list", action="store_true")
    a = p.parse_args()
    meters = {f"{a.host}.{10 + i}": Meter(name) for i, name in enumerate(LIES)}
    if a.list:
        for host, m in meters.items():
            print(host, m.own)
        return
    meters[f"{a.host}.9"] = Meter(None)
    keep = [await asyncio.start_server(m.serve, host, a.port) for host, m in meters.items()]
    print("ready", flush=True)
    seen = 0
    while keep:
        stamp = os.stat(a.orders).st_mtime_ns if os.path.exists(a.orders) else 0
        if stamp != seen:
            take_orders(a.orders, meters)
            seen = stamp
        with open(a.status + ".part", "w") as f:
            json.dump({k: {h: getattr(m, k) for h, m in meters.items()} for k in ("lies", "truths")}, f)
        os.replace(a.status + ".part", a.status)
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
