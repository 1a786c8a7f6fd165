"""Who calls: a user with a session, which is opened again after a call that ends it.

At the end it tells how often what was called, and fails if a class of operations was called less often than asked for.
"""

import atexit
import collections
import json
import os
import urllib.request

import schemathesis

BASE = os.environ["MANAGER"]
NAME = os.environ["MANAGER_USER"]
PASSWORD = os.environ["MANAGER_PASSWORD"]

# What ends sessions when it succeeds.
ENDING = {
    ("POST", "/api/v1/users/signout"),
    ("POST", "/api/v1/users/{id}/reset_password"),
    ("DELETE", "/api/v1/users/{id}/sessions"),
    ("DELETE", "/api/v1/users/{id}/sessions/{session}"),
}


def signed_in():
    body = json.dumps({"name": NAME, "password": PASSWORD}).encode()
    with urllib.request.urlopen(f"{BASE}/api/v1/users/signin", body) as answer:
        return json.load(answer)["token"]


token = signed_in()


@schemathesis.auth(refresh_interval=None)
class Session:
    def get(self, case, context):
        return token

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.serializer("application/x-protobuf")
def protobuf(context, value):
    data = getattr(value, "data", value)
    return data if isinstance(data, bytes) else str(data).encode()


# Calls of each class of operations: by what they do, and by the kind of object.
verbs = collections.Counter()
kinds = collections.Counter()
AT_LEAST = int(os.environ.get("MANAGER_CALLS_AT_LEAST", 0))


@atexit.register
def tell_calls():
    for counter in (verbs, kinds):
        for name, count in sorted(counter.items(), key=lambda item: item[1]):
            print(f"{count:8} calls: {name}")
    few = [verb for verb in ("GET", "POST", "PATCH", "PUT", "DELETE") if verbs[verb] < AT_LEAST]
    if few:
        print(f"called less than {AT_LEAST} times: {', '.join(few)}", flush=True)
        os._exit(1)


def kind_of(path):
    steps = [step for step in path.split("/") if step]
    return steps[2] if steps[0] in ("api", "oapi") else steps[0]


@schemathesis.hook
def after_call(context, case, response):
    global token
    verbs[case.method.upper()] += 1
    kinds[kind_of(case.path)] += 1
    if response.status_code == 200 and (case.method.upper(), case.path) in ENDING:
        token = signed_in()
