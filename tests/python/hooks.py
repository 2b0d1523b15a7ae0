"""What the document can't say, told to schemathesis: who calls, what the run stands on, which rules no schema expresses."""

import json
import os
import random
import re
import urllib.request
import uuid

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase
from schemathesis.openapi.checks import RejectedPositiveData

BASE = os.environ["NEBULA_URL"]
OPERATOR = os.environ["NEBULA_OPERATOR_KEY"]
ADMINISTRATOR = os.environ["NEBULA_ADMINISTRATOR_TOKEN"]
TENANT = os.environ["NEBULA_TENANT"]

# Of its own, so that hooks draw nothing from the generator's.
choices = random.Random(1)


# Operations of the platform are its operator's; everything else is called by a tenant's administrator.
@schemathesis.auth(refresh_interval=None).apply_to(lambda context: context.operation.definition.raw["x-scope"] != "public")
class Credential:
    def get(self, case, context):
        return OPERATOR if context.operation.definition.raw["x-scope"] == "platform" else ADMINISTRATOR

    def set(self, case, credential, context):
        case.headers["Authorization"] = f"Bearer {credential}"


def data(credential, path):
    request = urllib.request.Request(BASE + path, headers={"Authorization": f"Bearer {credential}"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)["data"]


# What the run stands on. The generator reads these names in lists; it would suspend its own tenant, strip its own administrator, or take the product's actions
# out of its own package, and every answer from then on would be a 403, which proves nothing.
PROTECTED = (
    {tenant["id"] for tenant in data(OPERATOR, "/v1/tenants?limit=200")}
    | {user["id"] for user in data(ADMINISTRATOR, "/v1/users?limit=200")}
    | {group["id"] for group in data(ADMINISTRATOR, "/v1/groups?limit=200")}
    | {package["key"] for package in data(OPERATOR, "/v1/catalog/packages?limit=200")}
    | {tool["key"] for tool in data(OPERATOR, "/v1/catalog/tools?limit=200")}
)
ACTIONS = data(ADMINISTRATOR, "/v1/me")["actions"]


def nobodys(name):
    """What stands in the place of a protected path parameter: well-formed, and not found."""
    return new_id() if name.lower().endswith("id") else "nobodys"


def new_id():
    return str(uuid.UUID(int=choices.getrandbits(128), version=4))


def known(body):
    """The body with actions and packages of the catalog in the place of made-up ones, which are refused before anything else is looked at."""
    body = dict(body)
    if "packageKey" in body:
        body["packageKey"] = "pro"
    if "actionKey" in body:
        body["actionKey"] = choices.choice(ACTIONS)
    if isinstance(body.get("actions"), list):
        body["actions"] = [choices.choice(ACTIONS) for _ in body["actions"]]
    if "permissions" in body:
        start = choices.randrange(len(ACTIONS))
        actions = ACTIONS[start:] + ACTIONS[:start]
        # Each action once: what is beyond their number goes.
        body["permissions"] = [{**granted, "action": action} for granted, action in zip(body["permissions"], actions)]
    return body


# What the run has made, by the path that made it.
made = {}


@schemathesis.hook
def after_call(context, case, response):
    if case.method == "POST" and response.status_code == 201 and "{" not in case.operation.path:
        answer = response.json()["data"]
        answer = answer.get("tenant", answer)
        made.setdefault(case.operation.path, []).append(answer.get("key") or answer["id"])


def aim(case):
    """Half of the well-formed requests outside of stateful testing, whose links say what they are about, go to something that is there: a made-up id is a 404."""
    if case.meta.phase.name == TestPhase.STATEFUL or case.meta.is_negative_at(ParameterLocation.PATH) or choices.random() < 0.5:
        return
    steps = case.operation.path.split("/")
    for index, step in enumerate(steps):
        collection = "/v1/users" if step == "{userId}" else "/".join(steps[:index])
        if step.startswith("{") and collection in made:
            case.path_parameters[step[1:-1]] = choices.choice(made[collection])


@schemathesis.hook
def before_call(context, case, kwargs):
    is_negative_at = case.meta.is_negative_at
    aim(case)
    if case.method not in ("GET", "HEAD", "OPTIONS"):
        for name, value in (case.path_parameters or {}).items():
            if value in PROTECTED:
                case.path_parameters[name] = nobodys(name)
    if isinstance(case.body, dict) and not is_negative_at(ParameterLocation.BODY):
        case.body = known(case.body)
    # A cursor is what the list answered before, sealed; nobody can make one up.
    if "cursor" in (case.query or {}) and not is_negative_at(ParameterLocation.QUERY):
        del case.query["cursor"]
    headers = case.headers
    # Who may name which tenant is the credential's matter: a well-formed id becomes the caller's own.
    if re.fullmatch("[0-9a-f-]{36}", str(headers.get("X-Tenant-Id"))):
        headers["X-Tenant-Id"] = TENANT
    # A used key answers what was answered before, or 422: the run is there to see the operations.
    if re.fullmatch("[!-~]{1,255}", str(headers.get("Idempotency-Key", ""))):
        headers["Idempotency-Key"] = new_id()
    # Without a credential it is the address that is counted and slowed down: each request comes from another.
    headers["X-Forwarded-For"] = f"2001:db8:{choices.getrandbits(16):x}:{choices.getrandbits(16):x}::1"


# Rules about how two members compare, or about what a member stands for: schemas can't say them. A request that breaks nothing else was well-formed.
BEYOND_SCHEMAS = {
    "after_valid_from",  # validFrom < validUntil
    "before_from",  # from <= to
    "future",  # expiresAt lies in the future
    "public_address",  # the host's name is no private network's
    "nul",  # in a member that may be any JSON, at whatever depth
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
        return True
    rules = {detail["rule"] for detail in response.json()["error"].get("details") or [{"rule": None}]}
    return not rules <= BEYOND_SCHEMAS


# An answer names nothing that the document doesn't: here, and not in the document, since clients have to live with members that are added later.
@schemathesis.hook
def before_load_schema(context, raw_schema):
    close(raw_schema["components"]["schemas"])
    for path in raw_schema["paths"].values():
        for operation in path.values():
            close([answer.get("content") for status, answer in operation["responses"].items() if status.startswith("2")])


def close(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            close(part)
    elif isinstance(schema, list):
        for part in schema:
            close(part)
