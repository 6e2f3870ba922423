"""How a peer in Python takes part: it loads, says so, and at each line of its input works once."""

import json
import sys
import time


def contest(work):
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        scores = work()
        print(json.dumps({"seconds": time.perf_counter() - began, "scores": scores}), flush=True)
