"""Functions in a simulated cloud: through the clients of AWS and Tencent Cloud, as their users call them."""

import base64
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace

import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from fanfold.simulator import people
from fanfold.simulator.handlers import MAX_BYTES, MAX_PAYLOAD, PROCESSES
from fanfold.simulator.process import running

UID = "1404376560"


@cache
def aws(simulator, *, key="simulator", secret=None):
    return boto3.client(
        "lambda",
        endpoint_url=simulator.url,
        region_name="eu-west-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret or simulator.token,
        config=Config(retries={"max_attempts": 0}, max_pool_connections=PROCESSES + 4),
    )


def call(simulator, name, payload=None, **options):
    """Call a function through Lambda's API; return its result, its error's type, and the log."""
    found = aws(simulator).invoke(
        FunctionName=name, Payload=json.dumps(payload), LogType="Tail", **options
    )
    log = base64.b64decode(found["LogResult"]).decode()
    error = found.get("FunctionError")
    return SimpleNamespace(result=json.load(found["Payload"]), error=error, log=log)


def scf(simulator, action="InvokeFunction", *, key="simulator", secret=None, **parameters):
    """Call Tencent's API with its own client."""
    http = HttpProfile(endpoint=simulator.url.removeprefix("http://"), protocol="http")
    credential = Credential(key, secret or simulator.token)
    profile = ClientProfile(httpProfile=http)
    client = CommonClient("scf", "2018-04-16", credential, "ap-guangzhou", profile=profile)
    response = client.call_json(action, parameters)["Response"]
    if "Error" in response:
        raise TencentCloudSDKException(response["Error"]["Code"], response["Error"]["Message"])
    return response


def scf_code(*arguments, **parameters):
    with pytest.raises(TencentCloudSDKException) as caught:
        scf(*arguments, **parameters)
    return caught.value.get_code()


@pytest.fixture
def write(simulator, tmp_path):
    """Write a function of an own folder."""
    simulator.control(functions=str(tmp_path))
    return lambda name, text: (tmp_path / f"{name}.py").write_text(text)


def test_a_function_calls_the_simulator_back_while_it_serves_others(simulator):
    """More calls at a time than processes, each of which waits for a further answer."""
    uids = [str(int(UID) + number) for number in range(PROCESSES + 4)]
    with ThreadPoolExecutor(len(uids)) as pool:
        found = list(
            pool.map(lambda uid: call(simulator, "get_user_info", {"user_id": uid}).result, uids)
        )
    assert [each["profile"] for each in found] == [people.profile(uid) for uid in uids]


def test_a_signature_of_aws_must_fit(simulator):
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:get_user_info"
    dry = {"InvocationType": "DryRun"}
    for name in ("get_user_info", arn, f"{arn}:3"):
        assert aws(simulator).invoke(FunctionName=name, **dry)["StatusCode"] == 204
    assert aws(simulator).invoke(FunctionName="get_user_info", Qualifier="$LATEST", **dry)
    for given, expected in [
        ({"secret": "wrong"}, "InvalidSignatureException"),
        ({"key": "wrong"}, "UnrecognizedClientException"),
    ]:
        with pytest.raises(ClientError, match=expected):
            aws(simulator, **given).invoke(FunctionName="get_user_info", **dry)


def test_a_signature_of_tencent_must_fit(simulator):
    event = json.dumps({"user_id": UID, "文": "\u2028"}, ensure_ascii=False)
    found = scf(simulator, FunctionName="get_user_info", Event=event, LogType="Tail")["Result"]
    assert json.loads(found["RetMsg"])["profile"] == people.profile(UID)
    assert (found["InvokeResult"], found["ErrMsg"]) == (0, "")
    assert found["BillDuration"] >= found["Duration"] > 0
    assert found["MemUsage"] > 1_000_000
    assert scf(simulator, "GetFunction", FunctionName="get_user_info")["MemorySize"] == 256
    wrong = {"FunctionName": "get_user_info"}
    assert scf_code(simulator, secret="wrong", **wrong) == "AuthFailure.SignatureFailure"
    assert scf_code(simulator, key="wrong", **wrong) == "AuthFailure.SecretIdNotFound"
    assert scf_code(simulator, FunctionName="nothing") == "ResourceNotFound.FunctionName"


def test_an_old_signature_is_refused(simulator, monkeypatch):
    old = datetime.now(UTC) - timedelta(seconds=400)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: old)
    with pytest.raises(ClientError, match="Signature expired"):
        aws(simulator).invoke(FunctionName="get_user_info")


def test_a_changed_function_is_used_at_the_next_call(simulator, write):
    """Also in a process that has loaded it before, and one that has loaded what it imports."""
    main = "import shared\ndef handler(event, context):\n    return shared.VALUE + "
    for file, text, expected in [
        ("shared", "VALUE = 'a'", None),
        ("mine", main + "'1'", "a1"),
        ("mine", main + "'2'", "a2"),
        ("shared", "VALUE = 'b'", "b2"),
    ]:
        write(file, text)
        if expected:
            assert {call(simulator, "mine").result for _ in range(3 * PROCESSES)} == {expected}


def test_the_context_is_that_of_the_service(simulator, write):
    write(
        "lambdas",
        "def handler(event, context):\n"
        "    print('written')\n"
        "    return [context.function_name, context.client_context.custom, context.aws_request_id,\n"
        "            0 < context.get_remaining_time_in_millis() <= 30_000]",
    )
    write("scfs", "def handler(event, context):\n    return [event, context['function_name']]")
    custom = base64.b64encode(json.dumps({"custom": {"key": "k1"}}).encode()).decode()
    found = call(simulator, "lambdas", ClientContext=custom)
    request_id = found.result.pop(2)
    assert found.result == ["lambdas", {"key": "k1"}, True]
    assert re.fullmatch(
        rf"START RequestId: {request_id} Version: \$LATEST\nwritten\nEND RequestId: {request_id}\n"
        rf"REPORT RequestId: {request_id}\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 256 MB\tMax Memory Used: \d+ MB\t(Init Duration: [\d.]+ ms\t)?\n",
        found.log,
    )
    scf_result = scf(simulator, FunctionName="scfs", Event='{"a": 1}')["Result"]
    assert json.loads(scf_result["RetMsg"]) == [{"a": 1}, "scfs"]


FAILING = {
    "raises": "def handler(event, context):\n    raise KeyError('user_id')",
    "broken": "def handler(event, context)\n    return 1",
    "imports": "import requests_that_nobody_has\ndef handler(event, context): pass",
    "nothing": "VALUE = 1",
    "strange": "def handler(event, context):\n    return {1, 2}",
    "large": f"def handler(event, context):\n    return 'x' * {MAX_BYTES}",
    "greedy": "def handler(event, context):\n    return len(bytearray(1 << 30))",
    "leaves": "import os\ndef handler(event, context):\n    os._exit(3)",
    "closes": "import sys\ndef handler(event, context):\n    sys.stdout.close()",
    "sleeps": "import time\ndef handler(event, context):\n    time.sleep(60)",
}
TOLD = {
    "raises": ("KeyError", "'user_id'", 430),
    "broken": ("Runtime.UserCodeSyntaxError", "Syntax error in module 'broken': expected ':'", 430),
    "imports": ("Runtime.ImportModuleError", "Unable to import module 'imports': No module", 430),
    "nothing": ("Runtime.HandlerNotFound", "Handler 'handler' missing on module 'nothing'", 430),
    "strange": ("Runtime.MarshalError", "Unable to marshal response", 430),
    "large": ("Function.ResponseSizeTooLarge", "Response payload size (6291558 bytes)", 407),
    "greedy": ("Runtime.ExitError", "Runtime exited with error: signal: killed", 434),
    "leaves": ("Runtime.ExitError", "Runtime exited with error: exit status 3", 434),
    "closes": ("ValueError", "I/O operation on closed file", 430),
    "sleeps": ("Sandbox.Timedout", "Task timed out after 0.50 seconds", 433),
}


@pytest.mark.parametrize("name", TOLD)
def test_a_function_that_fails_tells_as_in_the_cloud(name, simulator, write):
    write(name, FAILING[name])
    if name == "sleeps":
        simulator.control(function_time_s=0.5)
    kind, message, status = TOLD[name]
    found = call(simulator, name)
    assert (found.error, found.result["errorType"]) == ("Unhandled", kind)
    assert message in found.result["errorMessage"]
    trace = "".join(found.result["stackTrace"])
    assert (f"{name}.py" in trace) == (name in {"raises", "broken"})
    told = scf(simulator, FunctionName=name)["Result"]
    assert (told["InvokeResult"], told["RetMsg"]) == (-1, "")
    error = json.loads(told["ErrMsg"])
    assert error["statusCode"] == status
    if name == "sleeps":
        assert error["errorMessage"] == "Invoking task timed out after 0.5 seconds"
        assert told["BillDuration"] == 500
    else:
        assert message in error["errorMessage"]


def test_memory_that_a_killed_function_held_is_not_missing_to_others(simulator, write):
    write("keeps", "KEPT = []\ndef handler(*_):\n    while True: KEPT.append(bytearray(1 << 20))")
    write("needs", "def handler(*_):\n    return len(bytearray(100 << 20))")
    for _ in range(PROCESSES):
        assert call(simulator, "keeps").result["errorType"] == "Runtime.ExitError"
        assert call(simulator, "needs").result == 100 << 20


def test_functions_run_on_after_idle_processes_were_killed(tmp_path):
    (tmp_path / "where.py").write_text("import os\ndef handler(*_):\n    return os.getpid()")
    with running("--functions", str(tmp_path)) as simulator:
        pids = {call(simulator, "where").result for _ in range(PROCESSES)}
        processes = [psutil.Process(pid) for pid in pids]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)
        deadline = time.monotonic() + 30
        while call(simulator, "where").error:  # told as the end of its process
            assert time.monotonic() < deadline
        assert call(simulator, "where").result not in pids


def test_requests_that_are_no_call_have_lambdas_errors(simulator, write):
    write("echo", "def handler(event, context):\n    return len(event)")
    client = aws(simulator)
    for given, kind, status in [
        ({"FunctionName": "nothing"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "..%2Fecho"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "echo", "Payload": b"{"}, "InvalidRequestContentException", 400),
        ({"FunctionName": "echo", "ClientContext": "{"}, "InvalidRequestContentException", 400),
        (
            {"FunctionName": "echo", "InvocationType": "Event"},
            "InvalidParameterValueException",
            400,
        ),
        (
            {"FunctionName": "echo", "Payload": b'"%s"' % (b"x" * (MAX_PAYLOAD - 1))},
            "RequestTooLargeException",
            413,
        ),
    ]:
        with pytest.raises(ClientError) as caught:
            client.invoke(**given)
        assert caught.value.response["Error"]["Code"] == kind
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    text = "x" * (MAX_PAYLOAD - 2)
    assert call(simulator, "echo", text).result == len(text)
    quotes = json.dumps('"' * (MAX_PAYLOAD // 2 - 1))
    found = scf(simulator, FunctionName="echo", Event=quotes)["Result"]
    assert found["RetMsg"] == str(MAX_PAYLOAD // 2 - 1)


def test_faults_of_functions(simulator):
    path = "/2015-03-31/functions/{name}/invocations"
    simulator.control(paths={path: "throttle", "/": "throttle"}, retry_after_s=7)
    with pytest.raises(aws(simulator).exceptions.TooManyRequestsException) as caught:
        call(simulator, "process_user")
    assert caught.value.response["retryAfterSeconds"] == "7"
    assert scf_code(simulator, FunctionName="process_user") == "RequestLimitExceeded"
    for fault, kind in [
        ("function_error", "RuntimeError"),
        ("function_timeout", "Sandbox.Timedout"),
        ("function_too_large", "Function.ResponseSizeTooLarge"),
    ]:
        simulator.control(paths={path: fault})
        found = call(simulator, "process_user")
        assert (found.error, found.result["errorType"]) == ("Unhandled", kind)
    for fault, kind in [
        ("busy", "ServiceException"),
        ("10014", "AccessDeniedException"),
        ("21327", "ExpiredTokenException"),
    ]:
        simulator.control(paths={path: fault})
        with pytest.raises(ClientError, match=kind):
            call(simulator, "process_user")
    simulator.control(paths={path: "slow"}, slow_s=0.1)
    started = time.monotonic()
    assert call(simulator, "get_user_info", {"user_id": UID}).result["profile"]
    assert time.monotonic() - started > 0.1


def test_a_function_does_not_send_its_token_to_another_host(simulator):
    simulator.reset()
    simulator.control(uids={UID: "redirect"}, redirect_to=simulator.url)
    found = call(simulator, "get_user_info", {"user_id": UID})
    assert re.match(r"Weibo: HTTP 30\d, no profile", found.result["errorMessage"])
    assert simulator.stats(UID)["requests"] == 3, "its attempts, and no redirect"
    simulator.reset()


def test_the_processes_end_with_the_simulator(tmp_path):
    """Also one that runs a function."""
    begun = tmp_path / "begun"
    (tmp_path / "sleeps.py").write_text(
        "import pathlib, time\n"
        "def handler(event, context):\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n"
        "    time.sleep(25)"
    )
    with running("--functions", str(tmp_path)) as simulator, ThreadPoolExecutor(1) as pool:
        calling = pool.submit(call, simulator, "sleeps")
        while not begun.exists():
            assert not calling.done()
            time.sleep(0.01)
        children = psutil.Process(simulator.pid).children(recursive=True)
        os.kill(simulator.pid, 9)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert isinstance(calling.exception(), BotoCoreError)
    assert not alive, [(each.pid, each.ppid(), each.status(), each.cmdline()) for each in alive]
