"""Verifies a webhook by the official package of PyPI. Reads {secret, headers, body} as JSON, prints "verified" or why not."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

message = json.load(sys.stdin)
try:
    Webhook(message["secret"]).verify(message["body"], message["headers"])
    print("verified")
except WebhookVerificationError as error:
    print(f"refused: {error}")
