"""One tenant that writes at a steady rate for so many seconds, over eight connections, so that slow answers don't lower the rate: `rights` grants a permission to a group and takes it back in turns, `users` creates people.
Prints how many writes a second it was in the end."""

import http.client
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

CONNECTIONS = 8


class Tenant:
    def __init__(self, url, token):
        place = urlsplit(url)
        self.connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def does(self, method, path, body=None):
        self.connection.request(method, path, body and json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201, 204):
            raise SystemExit(f"{method} {path} answered {answer.status}: {text.decode()}")
        return json.loads(text)["data"] if text else None


def rights(tenant, name):
    permissions = f"/v1/groups/{tenant.does('POST', '/v1/groups', {'name': name})['id']}/permissions"
    while True:
        granted = tenant.does("POST", permissions, {"permissions": [{"action": "users.list"}]})
        yield
        granted = granted[0] if isinstance(granted, list) else granted["permissions"][0]
        tenant.does("DELETE", f"{permissions}/{granted['id']}")
        yield


def users(tenant, name):
    number = 0
    while True:
        number += 1
        tenant.does("POST", "/v1/users", {"email": f"{name}-{number}@bench.test", "name": "Bench User"})
        yield


def main(url, token, kind, rate, seconds):
    rate, seconds = float(rate), float(seconds)
    begun = time.monotonic()

    def connection(number):
        writes = {"rights": rights, "users": users}[kind](Tenant(url, token), f"steady-{time.time_ns()}-{number}")
        count = 0
        # By the clock, not after the last answer: who is slowed down catches up.
        while (due := (number + count * CONNECTIONS) / rate) < seconds and time.monotonic() - begun < seconds:
            time.sleep(max(0, due - (time.monotonic() - begun)))
            next(writes)
            count += 1
        return count

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        count = sum(threads.map(connection, range(CONNECTIONS)))
    print(f"{count / seconds:.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
