#!/usr/bin/env python3
"""Encrypts a file with `age -p`, which asks for its passphrase on a terminal: this is the terminal, and answers.

Usage: passphrase.py PASSPHRASE age -p -o OUT IN
"""

import os
import pty
import sys

passphrase, command = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
said = b""
answers = 0
while True:
    try:
        chunk = os.read(terminal, 1024)
    except OSError:  # the other end is closed
        break
    if not chunk:
        break
    said += chunk
    # "Enter passphrase (…):" first, "Confirm passphrase:" then.
    if said.count(b":") > answers and answers < 2 and said.rstrip().endswith(b":"):
        os.write(terminal, passphrase.encode() + b"\n")
        answers = said.count(b":")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
