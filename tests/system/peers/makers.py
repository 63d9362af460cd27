#!/usr/bin/env python3
"""The two devices of makers/tables.txt over one house, in nothing but Python's own library: the tables are read here by somebody who does
not know psec, the physics and signs are of here.

usage: makers.py METER-HOST INVERTER-HOST PORT TRUTH-FILE

Prints "ready" when both listen. The truth is JSON, written ten times a second: what flows in watts (grid + into the house, battery + out of it),
the watchdog, and every write as "REGISTER=VALUE" with " refused" behind it when it was."""
import json, math, os, socketserver, struct, sys, threading, time

LOAD, PV, NOMINAL, CT, EXPONENT, VOLTS = 2000, 400, 8000, 20, 1, 51.2
SHARES, MAINS = (0.5, 0.3, 0.2), (231.4, 229.8, 232.1)


class House:
    def __init__(self):
        self.remote, self.setpoint, self.watchdog, self.written, self.battery = 0, 0, 30, 0.0, 0.0
        self.drawn, self.delivered, self.at, self.writes = 1234567.0, 87654.0, time.monotonic(), []
        self.lock = threading.Lock()

    def grid(self):
        return LOAD + 10 * math.sin(3 * self.at) - PV - self.battery

    def step(self):
        now = time.monotonic()
        hours, seconds, self.at = (now - self.at) / 3600, now - self.at, now
        if self.remote and now - self.written > self.watchdog:
            self.remote = self.setpoint = 0
        self.battery += (-self.setpoint / 10000 * NOMINAL - self.battery) * min(1, seconds / 0.4)
        self.drawn += max(self.grid(), 0) * hours
        self.delivered += max(-self.grid(), 0) * hours

    def write(self, number, value):
        signed = value - 65536 if value > 32767 else value
        code = 0
        if number == 40101 and value in (0, 1):
            self.remote, self.written = value, self.at
        elif number == 40102 and self.remote and -10000 <= signed <= 8000:
            self.setpoint, self.written = signed, self.at
        elif number == 40103 and 10 <= value <= 600:
            self.watchdog = value
        else:
            code = 3 if number in (40101, 40102, 40103) else 2
        self.writes.append(f"{number}={signed}" + (" refused" if code else ""))
        return code

    def truth(self):
        return {"grid_w": self.grid(), "battery_w": self.battery, "watchdog_s": self.watchdog, "writes": self.writes}


HOUSE = House()


def high(value):
    return [round(value) >> 16 & 0xFFFF, round(value) & 0xFFFF]


def low(value):
    return high(value)[::-1]


def real(value):
    return list(struct.unpack(">HH", struct.pack(">f", value)))[::-1]


def chars(text, registers, fill):
    return list(struct.unpack(f">{registers}H", text.encode().ljust(2 * registers, fill)))


def one(value):
    return [round(value) & 0xFFFF]


def spread(table, first=0):
    return {number - first + i: word for number, words in table.items() for i, word in enumerate(words)}


def meter():
    watts = [-HOUSE.grid() / CT * share for share in SHARES]
    table = {0: one(0x4B50), 2: chars("PQ3-0047711", 8, b" "), 0xA: one(214), 0x10: one(CT), 0x11: one(EXPONENT),
             0x112: real(sum(watts)), 0x120: real(49.98), 0x200: low(HOUSE.drawn / 10**EXPONENT), 0x202: low(HOUSE.delivered / 10**EXPONENT)}
    for i, (power, volts) in enumerate(zip(watts, MAINS)):
        table |= {0x100 + 2 * i: real(volts), 0x106 + 2 * i: real(abs(power) / volts), 0x10C + 2 * i: real(power)}
    return {3: spread(table)}


def inverter():
    return {4: spread({30001: one(35344), 30002: chars("LX8240-00917", 10, b"\0"), 30051: one(HOUSE.battery / 10), 30052: one(64),
                       30053: one(VOLTS * 10), 30054: one(-HOUSE.battery / VOLTS * 10), 30055: one(215), 30056: one(1000), 30057: one(1200),
                       30058: one(0x0100), 30061: high(PV), 30063: high(54321)}, 30001),
            3: spread({40001: one(NOMINAL / 100), 40101: one(HOUSE.remote), 40102: one(HOUSE.setpoint), 40103: one(HOUSE.watchdog)}, 40001)}


def answer(server, question):
    """The answer's PDU to the question's."""
    function, image = question[0], server.image()
    code = 1
    if len(question) < 5:
        pass  # device identification and the like
    elif function in image:
        first, count = struct.unpack(">HH", question[1:5])
        words = [image[function].get(a) for a in range(first, first + count)]
        code = 3 if not 1 <= count <= server.most else 2 if None in words else 0
        if not code:
            return struct.pack(f">BB{count}H", function, 2 * count, *words)
    elif function in (6, 16) and server.writable:
        first, word = struct.unpack(">HH", question[1:5])
        words = [word] if function == 6 else struct.unpack(f">{word}H", question[6:])
        code = next((c for c in (HOUSE.write(40001 + first + i, w) for i, w in enumerate(words)) if c), 0)
        if not code:
            return question[:5]
    return bytes([function | 0x80, code])


class Dialogue(socketserver.StreamRequestHandler):
    def handle(self):
        while len(head := self.rfile.read(7)) == 7:
            length, unit = struct.unpack(">HB", head[4:])
            question = self.rfile.read(length - 1)
            if unit != self.server.unit or not question:
                continue
            with HOUSE.lock:
                HOUSE.step()
                said = answer(self.server, question)
            self.wfile.write(head[:4] + struct.pack(">HB", len(said) + 1, unit) + said)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, host, unit, image, most, writable):
        super().__init__((host, int(sys.argv[3])), Dialogue)
        self.unit, self.image, self.most, self.writable = unit, image, most, writable
        threading.Thread(target=self.serve_forever, daemon=True).start()


Server(sys.argv[1], 17, meter, 40, False)
Server(sys.argv[2], 1, inverter, 32, True)
print("ready", flush=True)
while True:
    with HOUSE.lock:
        HOUSE.step()
        truth = json.dumps(HOUSE.truth())
    with open(sys.argv[4] + ".new", "w") as f:
        f.write(truth)
    os.replace(sys.argv[4] + ".new", sys.argv[4])
    time.sleep(0.1)
