"""Who may ask what of the page, with which token, and that reading changes nothing."""

from __future__ import annotations

import jwt

GET, POST, PATCH = "GET", "POST", "PATCH"
RUN = "/api/dags/{dag_id}/runs/{run_id}"
REDRIVE = (POST, f"{RUN}/redrive")
PUBLISH = (POST, f"{RUN}/publish")
LIMITS = (PATCH, f"{RUN}/limits")
DOWNLOAD = (GET, f"{RUN}/files/{{name}}")
STATIC = (GET, "/static/{version}/{name:path}")
DOCS = (GET, "/docs")

FOR_ALL_WHO_LOG_IN = {
    STATIC: "a style sheet says nothing about any run",
    DOCS: "a page that says nothing about any run",
    (GET, "/openapi.json"): "what can be asked is no secret of a run",
}
ANSWERS = {DOWNLOAD: 307, PUBLISH: 409, LIMITS: 409}
"""The statuses of routes that do not answer 200: the run is neither on nor over its tolerance."""


WHERE = (
    {},
    {"dag_id": "gone"},
    {"run_id": "gone"},
    {"query": "?limit=none&offset=-1&after=x&runs=0&key=&prefix="},
)
"""401 and 403 come before 404 and 422."""


def test_every_route_needs_a_login_and_all_but_static_ones_a_role(door):
    closed = [route for route in door.routes if route not in FOR_ALL_WHO_LOG_IN]
    for where in WHERE:
        assert door.statuses(door.routes, None, **where) == dict.fromkeys(door.routes, 401)
        assert door.statuses(closed, "nobody", **where) == dict.fromkeys(closed, 403)
    wanted = dict.fromkeys(FOR_ALL_WHO_LOG_IN, 200)
    assert door.statuses(FOR_ALL_WHO_LOG_IN, "nobody") == wanted
    # The right is checked before a body is read.
    headers = {"Content-Type": "application/json"}
    for body in (b"{", b'"\xff"', b"[" * 100_000, b"", b"NaN", b'{"keys": 1}'):
        for route in (REDRIVE, PUBLISH, LIMITS):
            for person, status in ((None, 401), ("nobody", 403), ("viewer", 403)):
                answer = door.ask(route, person, data=body, headers=headers)
                assert answer.status_code == status, (route, body[:12], answer.text)


def test_a_viewer_reads_everything_and_changes_nothing_and_editors_are_allowed_everything(door):
    """A redrive is a dry run here and changes nothing either."""
    before = door.state()
    assert all(before[:3])
    reading = [route for route in door.routes if route[0] == GET]
    wanted = {route: ANSWERS.get(route, 200) for route in reading}
    assert door.statuses(reading, "viewer") == wanted
    assert door.ask((GET, RUN), "viewer").json()["redrive"]["allowed"] is False
    for dry_run in (True, False):
        answer = door.ask(REDRIVE, "viewer", json={"dry_run": dry_run, "keys": door.keys})
        assert answer.status_code == 403
    wanted = {route: ANSWERS.get(route, 200) for route in door.routes}
    for person in ("user", "op", "admin"):
        assert door.statuses(door.routes, person) == wanted
        assert door.ask((GET, RUN), person).json()["redrive"]["allowed"] is True
    assert door.state() == before


def test_a_dag_whose_runs_are_hidden_from_a_user_is_not_listed(door, monkeypatch):
    """Airflow's simple auth manager does not separate the two rights; others, such as FAB, do."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    manager = type(get_auth_manager())
    usual = manager.is_authorized_dag

    def without_runs(self, *, access_entity=None, details=None, **asked):
        if access_entity is DagAccessEntity.RUN and details.id == "order_lines":
            return False
        return usual(self, access_entity=access_entity, details=details, **asked)

    def listed():
        return {each["dag_id"] for each in door.ask((GET, "/api/pipelines")).json()["pipelines"]}

    before = listed()  # with DAGs of other tests
    monkeypatch.setattr(manager, "is_authorized_dag", without_runs)
    assert before - listed() == {"order_lines"}
    assert door.ask((GET, RUN)).status_code == 403


def broken_tokens(good):
    """Tokens that Airflow did not give out, or not for now, with the status that they deserve."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    admin = SimpleAuthManagerUser(username="admin", role="ADMIN")
    claims = jwt.decode(good, options={"verify_signature": False})
    head, payload, signature = good.split(".")
    raised = jwt.encode({**claims, "role": "ADMIN"}, "x" * 64, algorithm="HS512").split(".")[1]
    expired = get_auth_manager().generate_jwt(admin, expiration_time_in_seconds=-3600)
    return {
        "expired": (expired, 401),
        "signed with another key": (jwt.encode(claims, "x" * 64, algorithm="HS512"), 403),
        "not signed": (jwt.encode(claims, None, algorithm="none"), 403),
        "without its signature": (f"{head}.{payload}.", 403),
        "with another role": (f"{head}.{raised}.{signature}", 403),
        "no token": ("letmein", 403),
    }


def with_token(token, how):
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    if how == "header":
        return {"Authorization": f"Bearer {token}"}
    return {"Cookie": f"{COOKIE_NAME_JWT_TOKEN}={token}"}


def test_a_valid_token_is_accepted_and_an_expired_or_forged_one_refused(door, site):
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    wanted = {route: ANSWERS.get(route, 200) for route in door.routes}
    for how in ("header", "cookie"):
        good = with_token(site["user"].token, how)
        assert door.statuses(door.routes, None, headers=good) == wanted
        viewer = with_token(site["viewer"].token, how)
        assert door.ask(REDRIVE, None, headers=viewer).status_code == 403
        for what, (token, status) in broken_tokens(site["user"].token).items():
            found = door.statuses(door.routes, None, headers=with_token(token, how))
            assert found == dict.fromkeys(door.routes, status), (how, what)
    # Airflow also sets a cookie when it removes an invalid one.
    answer = door.ask((GET, RUN), None, headers=with_token("letmein", "cookie"))
    first, *rest = (part.strip() for part in answer.headers["Set-Cookie"].lower().split(";"))
    assert first == f'{COOKIE_NAME_JWT_TOKEN}=""'
    assert {"httponly", "samesite=lax"} <= set(rest)


def test_other_methods_are_not_allowed_and_no_other_site_reads_an_answer(door, site):
    """A preflight is refused like any other method, and no answer names an origin."""
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for route in door.routes:
        for method in {"PUT", PATCH, "DELETE", "HEAD", "TRACE", "OPTIONS"} - {route[0]}:
            answer = site["admin"].send(method, door.address(route), headers=headers)
            assert answer.status_code == 405, (method, route)
            door.assert_safe(answer)
        assert door.ask(route, headers={"Origin": headers["Origin"]}).status_code < 410
