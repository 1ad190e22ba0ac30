"""Peak private memory of a script in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

WATCHED = """
import json, sys, threading
from contextlib import contextmanager

def private():
    with open("/proc/self/status") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

found = {"peak": 0}

@contextmanager
def watched():
    done = threading.Event()
    def watch():
        while not done.wait(0.005):
            found["peak"] = max(found["peak"], private())
    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    done.set()
    watcher.join()
"""


def found_by(script: str, *arguments: str | Path) -> dict[str, Any]:
    """What a script puts into ``found``: with "peak", the bytes while in ``with watched():``."""
    code = f"{WATCHED}\n{script}\nprint(json.dumps(found))"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
