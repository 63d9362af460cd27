"""Runs a program on a pseudo terminal of 80x24 after a script on standard input; "_" at the end of a line stands for a blank.

    expect TEXT     wait until it was shown (at most 20 s), from where the last one ended
    send TEXT       type it: \\n, \\t, \\x03 as in Python
    signal NAME     send it to the program: INT, TERM
    end STATUS      wait for the end; the exit status must be that one
"""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

script = sys.stdin.read().splitlines()
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
seen, everything, ended = b"", b"", False


def read_more(deadline):
    global seen, everything, ended
    ready = select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]
    if not ready:
        return False
    try:
        data = os.read(fd, 65536)
    except OSError:  # Linux says EIO when the other side is gone
        data = b""
    ended = not data
    seen += data
    everything += data
    return not ended


def fail(why):
    print(why, "after", repr(everything[-2000:]))
    if not ended:
        os.kill(pid, signal.SIGKILL)
    sys.exit(1)


for line in script:
    word, _, text = line.partition(" ")
    if text.endswith("_"):
        text = text[:-1] + " "
    raw = text.encode().decode("unicode_escape").encode("latin1")
    deadline = time.monotonic() + 20
    if word == "expect":
        while text.encode() not in seen:
            if not read_more(deadline):
                fail("waited in vain for " + repr(text))
        seen = seen[seen.index(text.encode()) + len(text.encode()):]
    elif word == "send":
        os.write(fd, raw)
    elif word == "signal":
        os.kill(pid, getattr(signal, "SIG" + text))
    elif word == "end":
        while read_more(deadline):
            pass
        if not ended:
            fail("does not end")
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.buffer.write(everything)
        if status != int(text):
            fail("ended with %d" % status)
