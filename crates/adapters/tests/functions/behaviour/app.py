# One handler for each way in which a function can behave.

import logging
import os
import socket
import subprocess
import sys
import time

print("imported")


def describe(event, context):
    return {
        "arguments": event,
        "environment": dict(os.environ),
        "cwd": os.getcwd(),
        "path": sys.path[0],
        "context": {
            "request_id": context.aws_request_id,
            "arn": context.invoked_function_arn,
            "name": context.function_name,
            "version": context.function_version,
            "memory": context.memory_limit_in_mb,
            "remaining_ms": context.get_remaining_time_in_millis(),
            "custom": context.client_context.custom,
        },
        "pid": os.getpid(),
        "stdin": sys.stdin.read(),
    }


def talk(event, context):
    logging.getLogger().setLevel(logging.INFO)
    print("to stdout", event["word"])
    print("to stderr", event["word"], file=sys.stderr)
    logging.info("to the logger %s", event["word"])
    subprocess.run(["echo", "from a child"], check=True)
    return event["word"]


def fail(event, context):
    print("about to fail")
    raise ValueError("no such order")


def leave(event, context):
    print("leaving")
    sys.exit(event)


def crash(event, context):
    os.kill(os.getpid(), 11)


def flood(event, context):
    return "x" * event


def meet(event, context):
    # Returns only when the other guest has come, so that it ends at all only if two run at once.
    open(os.path.join(event["folder"], event["self"]), "w").close()
    while not os.path.exists(os.path.join(event["folder"], event["other"])):
        time.sleep(0.005)
    return os.getpid()


def hang(event, context):
    child = subprocess.Popen(["sleep", "1000"])
    scratch = event + ".new"
    with open(scratch, "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(scratch, event)
    print("hanging")
    while True:
        time.sleep(0.01)


def recurse(event, context):
    sys.setrecursionlimit(5000)
    return recurse(event, context)


def unserialisable(event, context):
    return {"set": {1, 2}}


def hoard(event, context):
    hoarded = b"x" * event
    time.sleep(1)
    return len(hoarded)


def shout(event, context):
    line = "x" * 1023
    for _ in range(event * 1024):
        print(line)
    return "done"


def reach(event, context):
    try:
        with socket.create_connection(tuple(event), timeout=5) as found:
            return found.recv(5).decode()
    except OSError as error:
        return type(error).__name__
