#!/usr/bin/python3
"""A peer of a control socket that has no line of psec's.

    ask.py SOCKET METHOD [PARAMS [PATH]]     print the result, or what lies at PATH in it ("daemon.processes.1.pid")

Ends with 1 and the kind of a failure ("refused: …") on stderr.
"""
import json
import socket
import sys

path, method = sys.argv[1:3]
params = json.loads(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] else {}
try:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(path)
    try:
        s.sendall((json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n").encode())
    except BrokenPipeError:
        pass  # turned away at the door, with a word why
    answer = json.loads(s.makefile().readline())
except (OSError, ValueError) as e:
    sys.exit("unreachable: %s" % e)
if "error" in answer:
    sys.exit("%s: %s" % (answer["error"].get("data", {}).get("kind", "?"), answer["error"]["message"]))
value = answer["result"]
for key in (sys.argv[4].split(".") if len(sys.argv) > 4 else []):
    value = value[int(key)] if isinstance(value, list) else value[key]
print(value if isinstance(value, str) else json.dumps(value))
