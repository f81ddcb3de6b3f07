"""Calls of functions: what each service answers, and what becomes of the item and of the cost."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
import threading
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote

import pandera.pandas as pa
import pytest

from fanfold import Found, Function, NotThere, Pipeline, testing
from fanfold.errors import BadConfiguration, BatchIncomplete, CredentialRefused
from fanfold.rate_limit import Unlimited
from fanfold.sources.endpoint import function_endpoint
from fanfold.sources.functions import MAX_PAYLOAD
from fanfold.sources.functions.session import FunctionSession, open_service
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.workers import WorkerPool
from fanfold.workspace.files import write_jsonl

AS_OF = datetime(2026, 8, 1, tzinfo=UTC)


class AtOnce(Backoff):
    """Repeats requests without waiting."""

    def wait_after(self, attempt, retry_after=None):
        delay = super().wait_after(attempt, retry_after)
        return None if delay is None else 0.0


QUICK = AtOnce(attempts=3)
SECRET = "Gu5t9xGARNpq86cd98joQYCN3secret"
SERVICES = ("lambda", "scf", "http")
BILLED = 0.25
"""GB-seconds of each call: 500 ms of 512 MB."""


@dataclass
class Answer:
    """What the server answers to a call, in the words of each service."""

    result: object = None
    raw: bytes | None = None
    error: tuple[str, str] | None = None
    refused: tuple[int, str, str, dict] | None = None
    message: str = "no"
    page: int = 0

    def of_lambda(self):
        if self.refused:
            status, code, _, headers = self.refused
            body = json.dumps({"message": self.message}).encode()
            return status, {"x-amzn-ErrorType": code, **headers}, body
        log = "REPORT RequestId: 1\tDuration: 412.10 ms\tBilled Duration: 500 ms\tMemory Size: 512 MB\t"
        headers = {
            "X-Amz-Log-Result": base64.b64encode(log.encode()).decode(),
            "X-Amz-Executed-Version": "$LATEST",
        }
        body = self.raw or json.dumps(self.result).encode()
        if self.error:
            kind, text = self.error
            headers["X-Amz-Function-Error"] = "Unhandled"
            body = json.dumps({"errorType": kind, "errorMessage": text, "stackTrace": []}).encode()
        return 200, headers, body

    def of_scf(self):
        if self.refused:
            error = {"Code": self.refused[2], "Message": "no"}
            return 200, {}, json.dumps({"Response": {"Error": error, "RequestId": "1"}}).encode()
        returned = self.raw.decode() if self.raw else json.dumps(self.result)
        result = {"InvokeResult": 0, "RetMsg": returned, "ErrMsg": ""}
        if self.error:
            kind, text = self.error
            status = {"Sandbox.Timedout": 433, "ResourceLimitReached": 432}.get(kind, 430)
            shown = {"errorMessage": f"Traceback …\n{kind}: {text}", "statusCode": status}
            result |= {"InvokeResult": -1, "RetMsg": "", "ErrMsg": json.dumps(shown)}
        result |= {"BillDuration": 500, "Duration": 412.1, "MemUsage": 100 << 20}
        return 200, {}, json.dumps({"Response": {"Result": result, "RequestId": "1"}}).encode()

    def of_http(self):
        if self.refused:
            status, _, _, headers = self.refused
            return status, headers, self.raw or b"no"
        return 200, {}, self.raw or json.dumps(self.result).encode()


OK = Answer({"size": 3})
RAISED = Answer(error=("ValueError", "no station 7"))
TIMED_OUT = Answer(error=("Sandbox.Timedout", "2026-08-01T00:00:00Z 1 Task timed out after 3.00 s"))
THROTTLED = Answer(
    refused=(429, "TooManyRequestsException", "RequestLimitExceeded", {"Retry-After": "7"})
)
BUSY = Answer(refused=(503, "ServiceException", "InternalError.System", {}))
UNKNOWN = Answer(refused=(404, "ResourceNotFoundException", "ResourceNotFound.Function", {}))
UNKNOWN_REGION = Answer(refused=(404, "ResourceNotFoundException", "UnsupportedRegion", {}))
REDIRECTED = Answer(refused=(302, "302", "InternalError", {"Location": "http://elsewhere.invalid"}))
SKEWED = Answer(
    refused=(403, "InvalidSignatureException", "AuthFailure.SignatureExpire", {}),
    message="Signature not yet current: 20260801T000000Z is still later than 20260731T235000Z",
)
DENIED = Answer(refused=(403, "AccessDeniedException", "AuthFailure.UnauthorizedOperation", {}))


@dataclass
class Call:
    name: str
    payload: object
    key: str
    place: dict


@dataclass
class Cloud:
    """A server with functions: ``answers`` are given in turn, the last one again and again."""

    url: str = ""
    answers: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    lock: object = field(default_factory=threading.Lock)

    def answer(self, name, payload, key, kind, place):
        with self.lock:
            self.calls.append(Call(name, payload, key, place))
            waiting = self.answers[name]
            found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if found.page:
            return found.page, {}, b"<html>Checking your browser</html>"
        return getattr(found, f"of_{kind}")()

    def calls_of(self, name):
        return [call for call in self.calls if call.name == name]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet: two would wait for the acknowledgement of the first
    cloud: Cloud

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        head, _, rest = self.path.partition("/functions/")
        if rest:
            name = unquote(rest.partition("/")[0])
            if self.headers["X-Amz-Invocation-Type"] == "DryRun":
                found = 204, {}, b""
                if self.cloud.answers[name][0] is UNKNOWN:
                    found = UNKNOWN.of_lambda()
            else:
                context = json.loads(base64.b64decode(self.headers["X-Amz-Client-Context"]))
                key = context["custom"]["idempotency_key"]
                found = self.cloud.answer(name, json.loads(body), key, "lambda", self.query())
        elif "X-TC-Action" in self.headers:
            given = json.loads(body)
            if self.headers["X-TC-Action"] == "GetFunction":
                found = 200, {}, b'{"Response": {"Status": "Active"}}'
            else:
                payload = json.loads(given["Event"])
                key = payload.get("idempotency_key", "") if isinstance(payload, dict) else ""
                place = {field: given.get(field) for field in ("Namespace", "Qualifier")}
                found = self.cloud.answer(given["FunctionName"], payload, key, "scf", place)
        else:
            key = self.headers["Idempotency-Key"]
            found = self.cloud.answer(head.strip("/"), json.loads(body), key, "http", {})
        self.send(*found)

    def query(self):
        return dict(parse_qsl(self.path.partition("?")[2]))

    def do_GET(self):
        self.send(404, {}, b"")

    def send(self, status, headers, body):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


@pytest.fixture
def cloud():
    made = Cloud()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"cloud": made}))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


class Limiter(Unlimited):
    """Grants each permit at once, and records the pauses."""

    def __init__(self):
        super().__init__()
        self.pauses = []

    def pause(self, seconds, reason):
        self.pauses.append((seconds, str(reason)))


def endpoint(cloud, service):
    extra = {
        "lambda": {"endpoint_url": cloud.url, "region_name": "eu-west-1"},
        "scf": {"service": "scf", "region": "ap-guangzhou"},
        "http": {},
    }[service]
    return function_endpoint(
        "map_default",
        conn_type="aws" if service == "lambda" else "http",
        host=None if service == "lambda" else cloud.url,
        port=None,
        schema=None,
        login=None if service == "http" else "AKID",
        token=SECRET,
        extra=extra,
    )


@contextmanager
def session_with(cloud, service, source, run="dag run 1"):
    target = endpoint(cloud, service)
    opened = open_service(source, target, partial(testing._lambda_client, target))
    with FunctionSession(source, opened, as_of=AS_OF, run=run) as session:
        yield session


@pytest.fixture
def call(cloud, workspace):
    """``call(service, source, keys)``: fetch a batch; return the outcomes and the limiter."""

    def call(service, source, keys=("7",), concurrency=2, **options):
        batch = workspace.batch(0)
        write_jsonl(batch.items_file, keys)
        limiter = Limiter()
        with session_with(cloud, service, source, **options) as session:
            pool = partial(WorkerPool, session, limiter, concurrency=concurrency, backoff=QUICK)
            with suppress(BatchIncomplete):
                fetch_batch(batch, pool, version="0000000a")
        return batch.outcomes(), limiter

    return call


@pytest.mark.parametrize("service", SERVICES)
def test_a_result_is_the_record_and_the_key_is_the_same_in_a_retry(
    service, cloud, call, records_of, workspace
):
    cloud.answers["resize"] = [BUSY, OK]
    source = Function(
        "resize", {"id": "{key}", "day": "{as_of}", "idempotency_key": "{idempotency_key}"}
    )

    outcomes, _ = call(service, source, ["7", "8"])

    assert records_of(workspace) == {"7": [{"size": 3}], "8": [{"size": 3}]}
    assert sorted(each.attempts for each in outcomes.values()) == [1, 2]
    keys = defaultdict(set)
    for each in cloud.calls:
        assert each.payload["day"] == "2026-08-01"
        assert each.payload["idempotency_key"] == each.key
        keys[each.payload["id"]].add(each.key)
    assert len(cloud.calls) == 3
    assert len(keys["7"] | keys["8"]) == len(keys["7"]) + len(keys["8"]) == 2


@pytest.mark.parametrize("service", ["lambda", "scf"])
def test_an_exception_in_a_function_is_final_and_costs(service, cloud, call):
    cloud.answers["resize"] = [RAISED]

    outcomes, _ = call(service, Function("resize", memory_mb=512))

    assert outcomes["7"].status == "failed"
    assert outcomes["7"].reason == "resize failed: ValueError: no station 7"
    assert outcomes["7"].gb_seconds == BILLED
    assert len(cloud.calls) == 1


@pytest.mark.parametrize("service", ["lambda", "scf"])
def test_a_function_that_times_out_is_called_again_and_each_call_costs(service, cloud, call):
    cloud.answers["resize"] = [TIMED_OUT]

    outcomes, _ = call(service, Function("resize", memory_mb=512))

    assert outcomes["7"].reason == "resize exceeded its own time limit"
    assert len(cloud.calls) == outcomes["7"].attempts == QUICK.attempts
    assert outcomes["7"].gb_seconds == QUICK.attempts * BILLED


@pytest.mark.parametrize("service", ["lambda", "scf"])
def test_an_exception_about_another_time_out_is_none_of_the_function(service, cloud, call):
    text = "Command 'sleep' timed out after 3 seconds: Task timed out after 3"
    cloud.answers["resize"] = [Answer(error=("TimeoutExpired", text))]

    outcomes, _ = call(service, Function("resize"))

    assert outcomes["7"].reason == f"resize failed: TimeoutExpired: {text}"
    assert len(cloud.calls) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_a_redirect_is_no_refusal_of_the_item(service, cloud, call):
    """It may be that of a proxy; it is not followed."""
    cloud.answers["resize"] = [REDIRECTED, OK]

    outcomes, _ = call(service, Function("resize"))

    assert (outcomes["7"].status, outcomes["7"].attempts) == ("ok", 2)


@pytest.mark.parametrize(("service", "seconds"), [("lambda", 7), ("scf", 1), ("http", 7)])
def test_a_throttle_pauses_the_connection_as_long_as_it_says(service, seconds, cloud, call):
    cloud.answers["resize"] = [THROTTLED, OK]

    outcomes, limiter = call(service, Function("resize"))

    assert outcomes["7"].status == "ok"
    ((paused, reason),) = limiter.pauses
    assert paused == seconds
    assert "resize" in reason


def test_a_throttle_that_scf_reports_as_a_failed_call_is_one(cloud, call):
    cloud.answers["resize"] = [Answer(error=("ResourceLimitReached", "concurrency")), OK]

    outcomes, limiter = call("scf", Function("resize"))

    assert (outcomes["7"].status, len(limiter.pauses)) == ("ok", 1)


@pytest.mark.parametrize(
    ("service", "name", "place"),
    [
        (
            "lambda",
            "arn:aws:lambda:eu-west-1:123456789012:function:resize",
            {"Qualifier": "live"},
        ),
        ("scf", "resize", {"Namespace": "pictures", "Qualifier": "live"}),
    ],
)
def test_version_and_namespace_of_a_function_are_sent(service, name, place, cloud, call):
    cloud.answers[name] = [OK]

    call(service, Function(name, qualifier="live", namespace="pictures"))

    assert [each.place for each in cloud.calls] == [place]


def test_a_payload_is_what_a_function_of_the_item_returns(cloud, call):
    cloud.answers["resize"] = [OK]

    def payload(item, as_of, idempotency_key):
        return [int(item.key), f"{as_of:%Y}", idempotency_key]

    outcomes, _ = call("lambda", Function("resize", payload), ["7", "x"])

    (made,) = cloud.calls
    assert made.payload == [7, "2026", made.key]
    assert "ValueError: invalid literal" in outcomes["x"].reason
    assert "test_functions.py" in outcomes["x"].reason


@pytest.mark.parametrize("service", SERVICES)
def test_a_payload_that_is_too_large_by_a_byte_is_not_sent(service, cloud, call):
    cloud.answers["resize"] = [OK]
    text = "é" * (MAX_PAYLOAD // 2 - 1)  # with quotes as many bytes as are allowed
    source = Function("resize", lambda item: text + "x" * int(item.key))

    outcomes, _ = call(service, source, ["0", "1"])

    assert outcomes["0"].status == "ok"
    if service == "http":  # has no limit that is known
        assert outcomes["1"].status == "ok"
        return
    assert len(cloud.calls) == 1
    said = f"the payload has {MAX_PAYLOAD + 1} bytes, and the service accepts {MAX_PAYLOAD}"
    assert said in outcomes["1"].reason


def test_a_payload_that_is_too_deep_fails_its_item_only(cloud, call):
    cloud.answers["resize"] = [OK]

    def payload(item):
        found = []
        for _ in range(int(item.key)):
            found = [found]
        return found

    outcomes, _ = call("lambda", Function("resize", payload), ["100000", "1"])

    assert "the payload is not JSON" in outcomes["100000"].reason
    assert outcomes["1"].status == "ok"


@pytest.mark.parametrize("result", [
    {"InvokeResult": 0, "RetMsg": '{"name": "\ud800"}'},
    {"InvokeResult": [1], "RetMsg": "no"},
    {"InvokeResult": -1, "ErrMsg": '{"statusCode": {"of": "another"}}'},
])  # fmt: skip
def test_an_answer_of_scf_with_an_unexpected_form_fails_its_item_only(result, cloud, call):
    class Strange(Answer):
        def of_scf(self):
            return 200, {}, json.dumps({"Response": {"Result": result}}).encode()

    cloud.answers["resize"] = [Strange(), OK]

    outcomes, _ = call("scf", Function("resize"), ["7", "8"])

    assert sorted(each.status for each in outcomes.values()) == ["failed", "ok"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer("x" * (9 << 20)), "bytes; return the URI of an object"),
        (Answer([1, 2]), "'result' is neither an object nor a list of objects"),
    ],
)
def test_a_result_of_no_use_fails_the_item_after_one_call(service, answer, reason, cloud, call):
    cloud.answers["resize"] = [answer]

    outcomes, _ = call(service, Function("resize"))

    assert outcomes["7"].status == "failed"
    assert reason in outcomes["7"].reason
    assert len(cloud.calls) == 1


@pytest.mark.parametrize(
    ("service", "calls"), [("lambda", 1), ("scf", 1), ("http", QUICK.attempts)]
)
def test_a_result_that_is_not_json_fails_the_item(service, calls, cloud, call):
    """What is not JSON over HTTP may be the page of a proxy, and is asked for again."""
    cloud.answers["resize"] = [Answer(raw=b'{"size": NaN}')]

    outcomes, _ = call(service, Function("resize"))

    assert outcomes["7"].status == "failed"
    assert len(cloud.calls) == calls


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("answer", "error", "remedy"),
    [
        (UNKNOWN, BadConfiguration, "create it, or correct its name"),
        (DENIED, CredentialRefused, {"lambda": "lambda:InvokeFunction", "scf": "scf:InvokeFunction", "http": "valid token"}),
    ],
)  # fmt: skip
def test_a_function_that_may_not_be_called_ends_the_fetch_and_keeps_what_it_has(
    service, answer, error, remedy, cloud, call, workspace
):
    """Over HTTP, a page may be that of a proxy: it decides only if the function never answers."""
    known = [] if service == "http" else [OK]
    cloud.answers["resize"] = [*known, answer]

    with pytest.raises(error) as caught:
        call(service, Function("resize"), [str(number) for number in range(50)])

    assert "function resize" in str(caught.value)
    assert "connection map_default" in str(caught.value)
    assert (remedy if isinstance(remedy, str) else remedy[service]) in str(caught.value)
    assert len(workspace.batch(0).outcomes()) == len(known)
    # Two at a time; in the order of their due times.
    assert len(cloud.calls) <= 2 * QUICK.attempts


@pytest.mark.parametrize("status", [401, 403, 404])
def test_over_http_a_page_for_one_item_of_several_fails_this_one(status, cloud, call):
    cloud.answers["grow"] = [OK, Answer(page=status)]
    # One at a time: all tries of an item may end before the function has answered for the other.
    outcomes, _ = call("http", Function("grow"), ["1", "2"], concurrency=1)
    assert sorted(each.status for each in outcomes.values()) == ["failed", "ok"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_one_page_of_a_proxy_costs_a_repetition_only(service, status, cloud, call):
    cloud.answers["resize"] = [Answer(page=status), OK]
    outcomes, _ = call(service, Function("resize"))
    assert (outcomes["7"].status, outcomes["7"].attempts) == ("ok", 2)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_over_http_json_decides(status, cloud, call):
    cloud.answers["shrink"] = [OK, Answer(refused=(status, "", "", {}), raw=b'{"error": "no"}')]
    if status == 404:
        outcomes, _ = call("http", Function("shrink"), ["8", "9"])
        assert sorted(outcomes[key].status for key in "89") == ["missing", "ok"]
    else:
        with pytest.raises(CredentialRefused, match=f"function shrink .HTTP {status}"):
            call("http", Function("shrink"), ["8", "9"])


@pytest.mark.parametrize(
    ("service", "answer", "said"),
    [
        ("lambda", SKEWED, "resize as too old or too early (InvalidSignatureException): set the"),
        ("scf", SKEWED, "resize as too old or too early (AuthFailure.SignatureExpire): set the clock"),
        ("scf", UNKNOWN_REGION, "finds no function resize at ap-guangzhou (UnsupportedRegion)"),
    ],
)  # fmt: skip
def test_a_wrong_clock_and_a_wrong_region_end_the_fetch_and_are_named(
    service, answer, said, cloud, call
):
    cloud.answers["resize"] = [answer]

    with pytest.raises(BadConfiguration) as caught:
        call(service, Function("resize"))

    assert said in str(caught.value)


@pytest.mark.parametrize("service", SERVICES)
def test_of_several_functions_only_the_one_that_fails_is_called_again(
    service, cloud, call, records_of, workspace
):
    cloud.answers = {
        "get": [Answer({"user": "7"})],
        "make": [BUSY, Answer([{"row": 1}, {"row": 2}])],
    }
    source = Function(("get", "make"), memory_mb=512)

    outcomes, _ = call(service, source)

    assert records_of(workspace) == {"7": [{"row": 1}, {"row": 2}]}
    assert [each.name for each in cloud.calls] == ["get", "make", "make"]
    assert [each.payload for each in cloud.calls_of("make")] == [{"user": "7"}] * 2
    assert outcomes["7"].attempts == 3
    assert outcomes["7"].gb_seconds == (None if service == "http" else 2 * BILLED)
    if service != "scf":  # it has the key in the payload only
        first, second, again = (each.key for each in cloud.calls)
        assert first != second == again


def test_another_run_and_another_function_have_other_keys(cloud, call):
    cloud.answers = {"get": [OK], "make": [RAISED, RAISED, OK]}
    source = Function(("get", "make"))
    for run in ("dag run 1", "dag run 1", "dag run 2"):
        call("lambda", source, run=run)

    first, redriven, other = (each.key for each in cloud.calls_of("make"))
    assert first == redriven != other
    assert len({each.key for each in cloud.calls}) == 4


def test_a_function_that_is_called_twice_for_an_item_gets_two_keys(cloud, call):
    """With one key, a function that checks it would answer the second call with the first result."""
    cloud.answers = {"step": [OK], "between": [OK]}

    call("lambda", Function(("step", "between", "step")))

    assert [each.name for each in cloud.calls] == ["step", "between", "step"]
    assert len({each.key for each in cloud.calls}) == 3


@pytest.mark.parametrize(
    ("answer", "source", "reason"),
    [
        (Answer(None), Function("get"), "get returned null"),
        (Answer({"rows": None}), Function("get", records="rows"), "get returned null"),
        (Answer({}), Function("get", read=lambda item, _: NotThere(f"no {item.key}")), "no 7"),
    ],
)
def test_null_is_an_item_that_does_not_exist(answer, source, reason, cloud, call):
    cloud.answers["get"] = [answer]

    outcomes, _ = call("lambda", source)

    assert (outcomes["7"].status, outcomes["7"].reason) == ("missing", reason)
    assert outcomes["7"].gb_seconds == BILLED


def test_an_exception_in_read_fails_the_item_with_its_cost(cloud, call):
    cloud.answers["get"] = [Answer({"size": None})]
    source = Function("get", read=lambda _, result: Found([{"size": 1 + result["size"]}]))

    outcomes, _ = call("lambda", source)

    assert "TypeError" in outcomes["7"].reason
    assert (outcomes["7"].attempts, outcomes["7"].gb_seconds) == (1, BILLED)


def test_the_cost_of_a_redrive_is_added(cloud, call):
    cloud.answers["resize"] = [TIMED_OUT] * QUICK.attempts + [OK]
    call("lambda", Function("resize"))

    outcomes, _ = call("lambda", Function("resize"))

    assert outcomes["7"].status == "ok"
    assert outcomes["7"].gb_seconds == (QUICK.attempts + 1) * BILLED


@pytest.mark.parametrize("service", SERVICES)
def test_the_secret_is_in_no_log_and_no_outcome(service, cloud, call, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("botocore", "urllib3", "botocore.auth"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    cloud.answers["resize"] = [BUSY, RAISED, DENIED]
    try:
        with pytest.raises(CredentialRefused) as caught:
            call(service, Function("resize"), ["7", "8", "9"])
    finally:
        for name in ("botocore", "urllib3", "botocore.auth"):
            logging.getLogger(name).setLevel(logging.NOTSET)

    assert SECRET not in f"{caplog.text}{caught.value}{endpoint(cloud, service)}"


class Row(pa.DataFrameModel):
    item: str
    size: int = pa.Field(ge=0)


@pytest.mark.parametrize(
    ("answer", "status"), [(OK, "ok"), (RAISED, "failed"), (Answer({"size": -1}), "invalid")]
)
def test_manifest_and_report_have_the_cost_of_a_run_whatever_became_of_its_items(
    answer, status, cloud
):
    cloud.answers["resize"] = [answer]
    pipeline = Pipeline(
        name="sizes", noun="picture", source=Function("resize"), contract=Row, key=("item",)
    )

    result = testing.run(pipeline, ["7", "8"], endpoint=endpoint(cloud, "lambda"))

    assert set(result.outcomes["status"]) == {status}
    assert result.manifest.gb_seconds == 2 * BILLED
    assert "0.5 GB-s" in result.report
    assert "0.5 GB-秒" in result.report


def test_without_functions_there_is_no_cost_in_the_report(cloud):
    cloud.answers["resize"] = [OK]
    pipeline = Pipeline(
        name="sizes", noun="picture", source=Function("resize"), contract=Row, key=("item",)
    )

    result = testing.run(pipeline, ["7"], endpoint=endpoint(cloud, "http"))

    assert (result.manifest.gb_seconds, "GB-s" in result.report) == (0, False)


def test_a_check_calls_no_function_and_names_a_missing_one(cloud):
    cloud.answers = {"get": [OK], "make": [UNKNOWN]}
    expected = pytest.raises(BadConfiguration, match="finds no function make at eu-west-1")
    with session_with(cloud, "lambda", Function(("get", "make"))) as session, expected:
        session.check()
    assert cloud.calls == []


def test_other_sources_do_not_pay_for_the_import_of_botocore():
    code = (
        "import sys, fanfold, fanfold.sources.session, fanfold.stages.fetching.workers;"
        "print([name for name in sys.modules if name.startswith(('botocore', 'boto3', 'fanfold.sources.functions'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
