"""Run a program that ends when its parent ends, however the parent ends (Linux; elsewhere it just runs the program).

Owns the few lines between fork and exec, in a file of their own because they must not run in a copy of a threaded
process: `python -I -S tether.py PARENT_PID PROGRAM ARGUMENT…`. Keeps the pid. Refuses to import anything of ours.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked to be told
            sys.exit(1)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
