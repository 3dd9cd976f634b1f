# The first lines a worker runs: it ties the worker's life to the server's where nobody else does, then
# hands over to AWS's own runtime interface client, which imports the handler and speaks the Lambda Runtime API.

import os
import signal
import sys
import threading
import traceback

NO_RUNTIME_CLIENT = 78  # also in worker.rs


def end_with_the_server(pipe):
    # The server holds the other end of this pipe and never writes to it: end of file means that the
    # server is gone, however it died, and that nobody else will stop this process group.
    while os.read(pipe, 1):
        pass
    os.kill(0, signal.SIGKILL)


def take_over_stdin():
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return pipe


def with_traceback(get_handler, fault_type):
    # The client reports a failed import by its last line only. The whole traceback is what tells a
    # developer which of their imports failed.
    def get_handler_with_traceback(handler):
        try:
            return get_handler(handler)
        except fault_type as fault:
            cause = fault.__context__
            if cause is not None and not fault.trace:
                frames = traceback.extract_tb(cause.__traceback__)
                own = [
                    frame
                    for frame in frames
                    if "importlib" not in frame.filename
                    and "/awslambdaric/" not in frame.filename
                ]
                fault.trace = traceback.format_list(own)
            raise

    return get_handler_with_traceback


class PortableRuntimeClient:
    # AWS builds the native half of its client for Linux only. Elsewhere this speaks the same three
    # requests over the standard library.
    def __init__(self, address):
        import http.client

        self.connection = http.client.HTTPConnection(address)

    def request(self, method, path, body=None, headers=None):
        url = "/2018-06-01/runtime/invocation/" + path
        self.connection.request(method, url, body, headers or {})
        response = self.connection.getresponse()
        content = response.read()
        if response.status >= 300:
            raise RuntimeError("the runtime api answered %d" % response.status)
        return content, response.headers

    def next(self):
        event, headers = self.request("GET", "next")
        # In the spelling by which the client looks them up.
        known = {name.title(): value for name, value in headers.items()}
        deadline_ms = "Lambda-Runtime-Deadline-Ms"
        known[deadline_ms] = int(known[deadline_ms])
        return event, known

    def post_invocation_result(self, invoke_id, result, content_type, invocation_id=None):
        headers = {"Content-Type": content_type}
        self.request("POST", invoke_id + "/response", result, headers)

    def post_error(self, invoke_id, error, xray_cause, invocation_id=None):
        headers = {"Content-Type": "application/json"}
        self.request("POST", invoke_id + "/error", error.encode(), headers)


def main():
    if os.environ.pop("OUTCROP_LIFELINE", None):
        threading.Thread(
            target=end_with_the_server, args=(take_over_stdin(),), daemon=True
        ).start()
    task_root = os.environ["LAMBDA_TASK_ROOT"]
    # The last of these holds the client where the environment has none. It comes last, so that the
    # environment's own packages win.
    sys.path = [task_root] + [entry for entry in sys.path if entry] + sys.argv[1:]
    del sys.argv[1:]
    os.environ.setdefault(
        "AWS_EXECUTION_ENV", "AWS_Lambda_python%d.%d" % sys.version_info[:2]
    )
    try:
        from awslambdaric import __main__ as client
        from awslambdaric import bootstrap, lambda_runtime_client
        from awslambdaric.lambda_runtime_exception import FaultException
    except ImportError:
        traceback.print_exc()
        sys.exit(NO_RUNTIME_CLIENT)
    if lambda_runtime_client.runtime_client is None:
        address = os.environ["AWS_LAMBDA_RUNTIME_API"]
        lambda_runtime_client.runtime_client = PortableRuntimeClient(address)
    if hasattr(bootstrap, "_get_handler"):
        bootstrap._get_handler = with_traceback(bootstrap._get_handler, FaultException)
    client.main(["awslambdaric", os.environ["_HANDLER"]])


main()
