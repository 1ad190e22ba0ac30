"""Peak private memory of a script in a process of its own, and its threads."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

WATCHED = """
import json, sys, threading
from contextlib import contextmanager

def status():
    with open("/proc/self/status") as lines:
        numbers = {name: line for name, line in (line.split(":", 1) for line in lines)}
    return {"peak": 1024 * int(numbers["RssAnon"].split()[0]), "threads": int(numbers["Threads"])}

found = {"peak": 0, "threads": 0}

@contextmanager
def watched():
    done = threading.Event()
    def watch():
        while not done.wait(0.005):
            for name, value in status().items():
                found[name] = max(found[name], value)
    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    done.set()
    watcher.join()
"""


def found_by(script: str, *arguments: str | Path) -> dict[str, Any]:
    """What a script puts into ``found``: "peak" bytes and "threads" while ``watched()``."""
    code = f"{WATCHED}\n{script}\nprint(json.dumps(found))"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
