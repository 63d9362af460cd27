"""Outside clients for the simulated site: pysunspec2 and pymodbus, one question a run. Addresses are as psec writes them."""
import logging
import socket
import struct
import sys
import time
from urllib.parse import parse_qs, urlsplit

logging.disable(logging.CRITICAL)


def parts(address):
    u = urlsplit(address)
    return u, int(u.fragment or 1)


def sunspec(address):
    from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP
    u, unit = parts(address)
    d = SunSpecModbusClientDeviceTCP(slave_id=unit, ipaddr=u.hostname, ipport=u.port, timeout=3)
    d.scan()
    return d


def models(address):
    d = sunspec(address)
    print(" ".join(str(m) for m in d.models if isinstance(m, int)), "|", d.common[0].Mn.value, "|", d.common[0].Md.value, "|", d.common[0].SN.value)


def point(address, model, *names):
    m = sunspec(address).models[int(model)][0]
    m.read()
    print(" ".join(str(m.points[n].cvalue) for n in names))


def setpoint(address, percent):
    """A set-point as a window of model 124: both rates with opposite signs, both mode bits."""
    m = sunspec(address).models[124][0]
    m.read()
    m.OutWRte.cvalue = float(percent)
    m.InWRte.cvalue = -float(percent)
    m.StorCtl_Mod.value = 3
    m.write()


def client(address, timeout):
    from pymodbus.client import ModbusSerialClient, ModbusTcpClient
    u, unit = parts(address)
    if u.scheme == "tcp":
        return ModbusTcpClient(u.hostname, port=u.port, timeout=timeout, retries=0), unit
    q = parse_qs(u.query)
    baud = int(q.get("baud", ["19200"])[0])
    return ModbusSerialClient(u.path, baudrate=baud, parity="N", stopbits=1, timeout=timeout, retries=0), unit


def read(address, function, start, count, kind="uint16", timeout="2"):
    """Prints the values, or 'exception N', 'no answer', 'no connection'."""
    from pymodbus.exceptions import ModbusException
    c, unit = client(address, float(timeout))
    if not c.connect():
        print("no connection")
        return
    ask = c.read_holding_registers if function == "3" else c.read_input_registers
    try:
        began = time.monotonic()
        r = ask(int(start), count=int(count), slave=unit)
        took = time.monotonic() - began
    except ModbusException:
        print("no answer")
        return
    if r.isError():
        print("exception", getattr(r, "exception_code", "?"))
    elif kind == "took_ms":
        print(int(took * 1000))
    else:
        data = struct.pack(">%dH" % len(r.registers), *r.registers)
        print(" ".join("%g" % v for v in struct.unpack(">%d%s" % (len(data) // struct.calcsize(">" + CODE[kind]), CODE[kind]), data)))


CODE = {"uint16": "H", "int16": "h", "float32": "f"}


def raw(address):
    """One question for two registers of the SunSpec mark on a socket of its own; the answer in hex."""
    u, unit = parts(address)
    s = socket.create_connection((u.hostname, u.port), timeout=3)
    s.sendall(struct.pack(">HHHBBHH", 0x1234, 0, 6, unit, 3, 40000, 2))
    print(s.recv(300).hex())


def pdu(address, text):
    """A PDU in hex on a socket of its own; the PDU of the answer in hex."""
    u, unit = parts(address)
    ask = bytes.fromhex(text)
    s = socket.create_connection((u.hostname, u.port), timeout=3)
    s.sendall(struct.pack(">HHHB", 0x1234, 0, len(ask) + 1, unit) + ask)
    print(s.recv(300)[7:].hex())


def line_twice(address):
    """Two questions on a line by hand: what the second answer carries."""
    from pymodbus.framer.rtu import FramerRTU
    import serial
    u, unit = parts(address)
    port = serial.Serial(u.path, baudrate=9600, timeout=1)
    port.reset_input_buffer()
    for start in (0, 52):
        pdu = struct.pack(">BBHH", unit, 4, start, 2)
        port.write(pdu + FramerRTU.compute_CRC(pdu).to_bytes(2, "big"))
        answer = port.read(9)
    crc = FramerRTU.compute_CRC(answer[:-2]).to_bytes(2, "big") == answer[-2:]
    print("sound" if crc else "broken", "%g" % struct.unpack(">f", answer[3:7])[0])


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
