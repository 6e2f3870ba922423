"""Waits until a URL answers with a status: wait.py URL STATUS."""

import sys
import time
import urllib.error
import urllib.request

url, wanted = sys.argv[1], int(sys.argv[2])
for _ in range(600):
    try:
        status = urllib.request.urlopen(url, timeout=5).status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError:
        status = 0
    if status == wanted:
        sys.exit()
    time.sleep(0.1)
sys.exit(f"{url} does not answer with {wanted}, but with {status}")
