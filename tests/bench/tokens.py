"""Makes opaque tokens of the lines "tenant id secret" on standard input (docs: extension/core/src/opaque_token.rs), one a line: prefix nbk_ API keys, nbr_ refresh tokens.
With an edge's URL each refresh token is exchanged for an access token, as a client would do it."""

import http.client
import json
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from threading import local
from urllib.parse import urlsplit


def reveal(prefix, line):
    text = prefix + line.replace("-", "").replace("\t", "").strip()
    return f"{text}{zlib.crc32(text.encode()):08x}"


def exchange(url):
    """A function that exchanges one token, over a connection that its thread keeps."""
    place, mine = urlsplit(url), local()

    def one(token):
        if not hasattr(mine, "connection"):
            mine.connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        mine.connection.request("POST", "/v1/auth/refresh", json.dumps({"refreshToken": token}), {"Content-Type": "application/json"})
        answer = mine.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"refresh answered {answer.status}: {body.decode()}")
        return json.loads(body)["data"]["accessToken"]

    return one


def main(prefix, url=None):
    tokens = [reveal(prefix, line) for line in sys.stdin]
    if url:
        with ThreadPoolExecutor(8) as threads:
            tokens = list(threads.map(exchange(url), tokens))
    print("\n".join(tokens))


if __name__ == "__main__":
    main(*sys.argv[1:])
