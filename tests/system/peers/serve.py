#!/usr/bin/env python3
"""Devices that were not written here: pymodbus serving hand-typed register images (images.py).

serve.py [--host H] [--port P] [--rtu LINE | --raw] [--ledger FILE] UNIT=IMAGE…
--raw: serial frames over TCP, as a gateway passes them on.
prints "ready PORT" once it listens; the ledger gets a line "UNIT FUNCTION ADDRESS" for every question."""
import argparse
import asyncio

from pymodbus import FramerType
from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext, ModbusSparseDataBlock
from pymodbus.server import ModbusSerialServer, ModbusTcpServer

from images import IMAGES


def device(image):
    """Only what the image has; anything else is exception 2. The store counts from 1."""

    def block(kind):
        return ModbusSparseDataBlock({a + 1: v for a, v in image[kind].items()} if kind in image else {65536: [0]})

    return ModbusSlaveContext(hr=block("holding"), ir=block("input"))


async def main():
    p = argparse.ArgumentParser()
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--rtu")
    p.add_argument("--raw", action="store_true")
    p.add_argument("--ledger")
    p.add_argument("units", nargs="+", metavar="UNIT=IMAGE")
    o = p.parse_args()
    units = dict(w.split("=") for w in o.units)
    devices = ModbusServerContext(slaves={int(u): device(IMAGES[i]()) for u, i in units.items()}, single=False)
    ledger = open(o.ledger, "w", buffering=1) if o.ledger else None

    def trace(sending, pdu):
        if ledger and not sending:
            print(pdu.dev_id, pdu.function_code, getattr(pdu, "address", "-"), file=ledger)
        return pdu

    if o.rtu:
        server = ModbusSerialServer(devices, framer=FramerType.RTU, port=o.rtu, baudrate=19200, parity="N", stopbits=1,  # a pty takes no parity
                                    trace_pdu=trace, ignore_missing_slaves=True)
    else:
        server = ModbusTcpServer(devices, framer=FramerType.RTU if o.raw else FramerType.SOCKET, address=(o.host, o.port), trace_pdu=trace, ignore_missing_slaves=True)
    await server.serve_forever(background=True)
    print("ready", 0 if o.rtu else server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
