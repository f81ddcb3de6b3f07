"""Run local functions in worker processes, as Lambda and SCF run those of a cloud.

A function is a file ``<name>.py`` with ``handler(event, context)``; ``main_handler`` and
``lambda_handler`` are other names for it. It is loaded again after any file of its folder has changed.
Errors are told as by the Python runtime of Lambda (github.com/aws/aws-lambda-python-runtime-interface-client).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import math
import multiprocessing
import os
import re
import resource
import signal
import sys
import threading
import time
import traceback
import types
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from pebble import ProcessPool

PROCESSES = 8
"""Functions that run at a time; further calls wait."""
MAX_BYTES = 6_291_556
"""Size of a result, which is Lambda's limit; that of SCF is 6 MB, too."""
MAX_PAYLOAD = 6 << 20
"""Size of a payload, at both."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,139}")
_HANDLERS = ("handler", "main_handler", "lambda_handler")


@dataclass(frozen=True, slots=True)
class Invocation:
    """A call of a function.

    Attributes:
        name: Name of the function.
        folder: Folder of its file.
        event: The payload as JSON.
        context: What its second argument tells: that of Lambda by attributes, that of SCF by keys.
        time_limit_s: Seconds after which its process is killed.
        memory_mb: Memory in MiB (1,048,576 bytes) that it may allocate.
    """

    name: str
    folder: str
    event: bytes
    context: Mapping[str, Any]
    time_limit_s: float
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave.

    Attributes:
        body: The function's result, or the description of its error, as JSON.
        error: ``errorType`` of the error; empty if there is none.
        log: What it wrote to stdout and stderr.
        duration_s: Seconds in the handler.
        init_s: Seconds to load the function before, in a cold start; else 0.
        memory: Maximum memory of its process in bytes.
    """

    body: bytes
    error: str = ""
    log: str = ""
    duration_s: float = 0.0
    init_s: float = 0.0
    memory: int = 0

    @property
    def billed_ms(self) -> int:
        """Both durations, in whole milliseconds."""
        return max(1, math.ceil((self.duration_s + self.init_s) * 1000))


def file_of(folder: str, name: str) -> Path | None:
    """Return the file of a function, or None if there is no such function."""
    path = Path(folder, f"{name}.py")
    return path if _NAME.fullmatch(name) and path.is_file() else None


def failure(kind: str, message: str, trace: list[str] | None = None, **more: Any) -> Result:
    """Return the result of a call that failed; ``kind`` is Lambda's ``errorType``."""
    document = {"errorMessage": message, "errorType": kind, "stackTrace": trace or []}
    return Result(_json(document), error=kind, **more)


def timed_out(request_id: str, seconds: float, memory_mb: int) -> Result:
    """Return the result of a call that exceeded its time limit."""
    message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
    return failure("Sandbox.Timedout", message, duration_s=seconds, memory=memory_mb << 20)


@dataclass(slots=True)
class Workers:
    """The processes that run functions; they start with the first call.

    Attributes:
        environment: Environment variables of all functions.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    _pool: ProcessPool | None = field(default=None, init=False)

    def start(self, invocation: Invocation) -> Future[Result]:
        """Start a call; return its result to come, for :func:`result_of`."""
        if (
            self._pool is None or not self._pool.active
        ):  # one that lost an idle process may be broken
            self.stop()
            from pebble import ProcessPool

            # Not "fork": a process would keep the sockets of all clients open.
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([__name__, "urllib.request"])
            self._pool = ProcessPool(PROCESSES, initializer=_begin, context=context)
        future: Future[Result] = self._pool.schedule(
            _call, (invocation, self.environment), timeout=invocation.time_limit_s
        )
        return future

    def stop(self) -> None:
        """Kill the processes."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()


def result_of(future: Future[Result], invocation: Invocation, request_id: str) -> Result:
    """Return the result of a call that is done."""
    from pebble import ProcessExpired

    try:
        return future.result()
    except TimeoutError:
        return timed_out(request_id, invocation.time_limit_s, invocation.memory_mb)
    except ProcessExpired as error:
        code = error.exitcode
        how = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return _ended(request_id, how)
    except Exception as error:  # noqa: BLE001 - the function broke what makes its result, or the pool ended
        return failure(type(error).__name__, str(error))


def _ended(request_id: str, how: str, **more: Any) -> Result:
    message = f"RequestId: {request_id} Error: Runtime exited with error: {how}"
    return failure("Runtime.ExitError", message, **more)


def _json(value: Any) -> bytes:
    # A lone surrogate has no UTF-8 and is written as a JSON escape.
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")


# in the processes

_stamps: dict[str, Any] = {}
_loaded: dict[str, Callable[[Any, Any], Any]] = {}
_import_path = list(sys.path)


def _begin() -> None:
    """End with the simulator, and write what functions write to its log."""
    threading.Thread(target=_end_with_simulator, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
    sys.dont_write_bytecode = True


def _end_with_simulator() -> None:
    simulator = multiprocessing.parent_process()
    assert simulator is not None  # noqa: S101 - for the type checker
    connection.wait([simulator.sentinel])
    os._exit(1)


class _BadFunction(Exception):  # noqa: N818 - an answer
    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        self.result = failure(kind, message, trace)
        super().__init__(message)


def _call(invocation: Invocation, environment: Mapping[str, str]) -> Result:
    os.environ.update(environment)
    output = io.StringIO()
    started = loaded = time.perf_counter()
    init_s = 0.0
    handler: Any = None
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            with _limited(invocation.memory_mb):
                is_cold = _is_cold(invocation)
                handler = _handler(invocation)
                loaded = time.perf_counter()
                init_s = (loaded - started) * is_cold
                value = handler(json.loads(invocation.event), _context(invocation, loaded))
                result = _checked(value)
        except _BadFunction as bad:
            result = bad.result
        except MemoryError:
            result = _ended(_request_id(invocation), "signal: killed")
        except SystemExit as error:
            code = error.code or 0
            result = _ended(
                _request_id(invocation), f"exit status {code if isinstance(code, int) else 1}"
            )
        except BaseException as error:  # noqa: BLE001 - whatever the function raises
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in frames if frame.filename != __file__]
            trace = traceback.format_list(own)
            result = failure(type(error).__name__, str(error), trace)
    duration_s = time.perf_counter() - loaded
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = used if sys.platform == "darwin" else used * 1024
    if result.error == "Runtime.ExitError":
        memory = invocation.memory_mb << 20
        # In a cloud its instance has ended: free what it held, which other functions here need.
        handler = None
        _stamps.clear()
        _loaded.clear()
        gc.collect()
    return Result(result.body, result.error, output.getvalue(), duration_s, init_s, memory)


def _checked(value: Any) -> Result:
    try:
        body = _json(value)
    except (TypeError, ValueError) as error:
        message = f"Unable to marshal response: {error}"
        raise _BadFunction("Runtime.MarshalError", message) from None
    if len(body) > MAX_BYTES:
        raise _BadFunction(
            "Function.ResponseSizeTooLarge",
            f"Response payload size ({len(body)} bytes) exceeded maximum allowed payload size "
            f"({MAX_BYTES} bytes).",
        )
    return Result(body)


@contextlib.contextmanager
def _limited(memory_mb: int) -> Any:
    """Let an allocation beyond the memory of a function fail (Linux)."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, hard))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _is_cold(invocation: Invocation) -> bool:
    """Whether a function must be loaded; after a change in its folder all are forgotten."""
    folder = invocation.folder
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.name.endswith(".py")]
        stamps = {each.name: (each.stat().st_mtime_ns, each.stat().st_size) for each in found}
    if _stamps != {folder: stamps}:
        _stamps.clear()
        _stamps[folder] = stamps
        _loaded.clear()
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").parent == Path(folder):
                del sys.modules[name]
        sys.path[:] = [folder, *_import_path]
        importlib.invalidate_caches()
    return invocation.name not in _loaded


def _handler(invocation: Invocation) -> Callable[[Any, Any], Any]:
    name = invocation.name
    if name in _loaded:
        return _loaded[name]
    path = Path(invocation.folder, f"{name}.py")
    module = types.ModuleType(name)
    module.__file__ = str(path)
    try:
        # Not the import system: its cached bytecode may be that of a file changed in the same second.
        exec(compile(path.read_bytes(), path, "exec"), module.__dict__)  # noqa: S102 - the user's file
    except ImportError as error:
        message = f"Unable to import module '{name}': {error}"
        raise _BadFunction("Runtime.ImportModuleError", message) from None
    except SyntaxError as error:
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        message = f"Syntax error in module '{name}': {error}"
        raise _BadFunction("Runtime.UserCodeSyntaxError", message, trace) from None
    handler = next((getattr(module, each) for each in _HANDLERS if hasattr(module, each)), None)
    if handler is None:
        message = f"Handler '{_HANDLERS[0]}' missing on module '{name}'"
        raise _BadFunction("Runtime.HandlerNotFound", message)
    _loaded[name] = handler
    return _loaded[name]


def _request_id(invocation: Invocation) -> str:
    known = invocation.context
    return str(known.get("aws_request_id") or known.get("request_id", ""))


def _context(invocation: Invocation, started: float) -> Any:
    """Return the second argument of a handler: an object for Lambda, a dictionary for SCF."""
    known = dict(invocation.context)
    if "aws_request_id" not in known:
        return known
    if isinstance(known["client_context"], dict):
        known["client_context"] = types.SimpleNamespace(**known["client_context"])
    end = started + invocation.time_limit_s
    return types.SimpleNamespace(
        **known, get_remaining_time_in_millis=lambda: int((end - time.perf_counter()) * 1000)
    )
