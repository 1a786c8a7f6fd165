"""Who calls: a user with a session, which is opened again after a call that ends it. At the end, how often what was called."""

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


# Calls of each class of operations: those of one kind of object.
calls = collections.Counter()


@atexit.register
def tell_calls():
    for name, count in sorted(calls.items(), key=lambda item: item[1]):
        print(f"{count:8} calls: {name}")


@schemathesis.hook
def after_call(context, case, response):
    global token
    calls[case.path.split("/v1/")[-1].split("/")[0]] += 1
    if response.status_code == 200 and (case.method.upper(), case.path) in ENDING:
        token = signed_in()
