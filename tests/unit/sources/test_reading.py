"""The default way to read a response, and where the token goes."""

from __future__ import annotations

import pytest
from requests.structures import CaseInsensitiveDict

from fanfold import (
    Api,
    CredentialRefused,
    Found,
    ItemRefused,
    NotThere,
    QuotaSpent,
    Response,
    SourceBusy,
)
from fanfold.errors import BadConfiguration, BadPipeline
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.reading import read_by_status
from fanfold.sources.session import _credentials


def read(status, body=None, path="", *, valid=True, **headers):
    flaw = "" if valid else "http.not_json"
    return read_by_status(Response(status, CaseInsensitiveDict(headers), body, flaw, "/v1"), path)


def test_each_status_has_its_consequence():
    for status, valid, kind in [
        *((status, True, CredentialRefused) for status in (401, 403)),
        *((status, True, ItemRefused) for status in (400, 422)),
        # The page of a proxy, such as a challenge, decides nothing.
        *((status, False, SourceBusy) for status in (200, 302, 400, 401, 403, 404, 410, 422, 500)),
        *((status, True, SourceBusy) for status in (100, 302, 405, 500, 503)),
        (429, False, QuotaSpent),
    ]:
        with pytest.raises(kind) as caught:
            read(status, {}, valid=valid)
        assert type(caught.value) is kind, (status, valid)
        assert str(status) in str(caught.value)
    assert isinstance(read(404, {}), NotThere)
    assert isinstance(read(410, None), NotThere)
    with pytest.raises(QuotaSpent) as caught:
        read(429, **{"Retry-After": "7"})
    assert caught.value.retry_after == 7


def test_the_reason_of_a_missing_item_may_be_a_text():
    assert NotThere("no such station").message.text == "no such station"


def test_records_are_an_object_or_a_list_of_objects_as_received():
    assert read(200, {"a": 1}) == Found(({"a": 1},))
    assert read(200, [{"a": 1}, {}]) == Found([{"a": 1}, {}])
    assert read(201, {"data": {"items": []}}, "data.items") == Found([])
    assert read(204, valid=False) == Found(())


@pytest.mark.parametrize(
    ("body", "path", "said"),
    [
        ({"data": {"itmes": []}}, "data.items", r"has no 'data\.items'"),
        ([], "data", "has no 'data'"),
        ({"data": None}, "data", "'data' in the response is neither"),
        ({"data": [1]}, "data", "'data' in the response is neither"),
        (None, "", "the response is neither"),
        ([{}, 1], "", "the response is neither"),
    ],
)
def test_what_is_not_records_is_retried_and_the_path_is_named(body, path, said):
    """A path with a typo must not make items without records."""
    with pytest.raises(SourceBusy, match=f"/v1: HTTP 200.*{said}"):
        read(200, body, path)


def test_the_token_goes_where_the_api_wants_it():
    for place, expected in {
        "bearer": ({}, {"Authorization": "Bearer s3"}, {}),
        "header:X-Key": ({}, {"X-Key": "s3"}, {}),
        "header:Authorization OAuth2": ({}, {"Authorization": "OAuth2 s3"}, {}),
        "query:api_key": ({"api_key": "s3"}, {}, {}),
        "body:token": ({}, {}, {"token": "s3"}),
    }.items():
        api = Api(path="/", token=place)
        assert _credentials(api, Endpoint("c", "http://x", token="s3")) == expected
        assert _credentials(api, Endpoint("c", "http://x")) == ({}, {}, {})


def test_a_token_that_no_header_can_carry_is_reported_without_it():
    with pytest.raises(BadConfiguration, match="api_default") as caught:
        _credentials(Api(path="/"), Endpoint("api_default", "http://x", token="s3crét"))
    assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize(
    "place", ["header:X Tok\n", "header:", "header:X:", "headers:X", "bearer:x", "body:", ""]
)
def test_a_place_of_the_token_that_no_request_has_is_refused(place):
    with pytest.raises(BadPipeline, match="'header:<name>'"):
        Api(path="/", token=place)
