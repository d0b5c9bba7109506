"""Is it well? `python -m include.stack.health URL [COMPONENT]`, for health checks: standard library only, 0.1 s of CPU.

With COMPONENT, URL is Airflow's `/api/v2/monitor/health`, and that component's part of the answer counts.
"""

import json
import sys
import urllib.error
import urllib.request

TIMEOUT = 8.0


def ill(url: str, component: str = "") -> str:
    """What is wrong at `url`; empty where all is well."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy for the world is none for us
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        return "" if error.code < 500 and not component else f"{url}: {error.code}"
    except OSError as error:
        return f"{url}: {error}"
    status = json.loads(content)[component]["status"] if component else "healthy"
    return "" if status == "healthy" else f"{component} is {status}"


if __name__ == "__main__":
    trouble = ill(*sys.argv[1:])
    if trouble:
        sys.exit(trouble)
