"""Holds the lock of the directory it is given, with a child that outlives it; see ``test_lock``."""

from __future__ import annotations

import os
import sys
import time

from undrift.files.lock import FileLock

lock = FileLock(sys.argv[1])
lock.acquire()
if os.fork() == 0:
    print(f"child {os.getpid()} {lock.held}", flush=True)
    time.sleep(600)
else:
    time.sleep(600)
