"""Get the profile of a Weibo user from the API: the first function of ``function_map``.

Payload: ``{"user_id": "1404376560"}``. Result: ``{"user_id": …, "profile": {…}}``, or
``{"user_id": …, "missing": 20003}`` if there is no such user.

Environment: ``WEIBO_TOKEN``, the access token; ``WEIBO_URL``, another address than Weibo's.
Handler: ``get_user_info.handler`` (AWS Lambda), ``get_user_info.main_handler`` (Tencent SCF).
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

ATTEMPTS = 3
TIMEOUT_S = 5
PAUSE_S = 0.2
MISSING = 20003
BUSY = {10001, 10002, 10003, 10009, 10010, 10011, 20014, 20607, 21331}


class WeiboError(Exception):
    """Weibo did not return the profile."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Treat a redirect as an error: following it would send the token to another host."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def handler(event, context):
    """Return the profile of a user."""
    user_id = str(event["user_id"])
    for attempt in range(1, ATTEMPTS + 1):
        status, body = get(user_id)
        code = error_code(body)
        if code == MISSING:
            return {"user_id": user_id, "missing": code}
        if (
            status == 200
            and code is None
            and isinstance(body, dict)
            and str(body.get("id")) == user_id
        ):
            return {"user_id": user_id, "profile": body}
        if code is not None and code not in BUSY:
            raise WeiboError(f"Weibo {code}: {str(body.get('error', ''))[:200]}")
        if attempt < ATTEMPTS:
            time.sleep(PAUSE_S * attempt)
    raise WeiboError(f"Weibo {code}: busy" if code else f"Weibo: HTTP {status}, no profile")


def get(user_id):
    """Return status and JSON document of a request; 0 without a response, None without JSON."""
    url = os.environ.get("WEIBO_URL", "https://api.weibo.com")
    query = urllib.parse.urlencode({"uid": user_id})
    request = urllib.request.Request(
        f"{url}/2/users/show.json?{query}",
        headers={"Authorization": f"OAuth2 {os.environ['WEIBO_TOKEN']}"},
    )
    try:
        with OPENER.open(request, timeout=TIMEOUT_S) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            try:
                return error.code, json.load(error)
            except (ValueError, RecursionError, OSError):
                return error.code, None
    except (ValueError, RecursionError, OSError, http.client.HTTPException):
        return 0, None


def error_code(body):
    """Return Weibo's error code, or None; Weibo writes it as a number or a text."""
    code = str(body.get("error_code", "")) if isinstance(body, dict) else ""
    return int(code) if code.isascii() and code.isdigit() else None


main_handler = handler
