"""The request for the next page, from a call and its response."""

from __future__ import annotations

import pytest
from requests.structures import CaseInsensitiveDict

from fanfold import Call, ItemRefused, Pages, Response, SourceBusy
from fanfold.errors import BadPipeline
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.paging import MISSING, Paging, at_path

ENDPOINT = Endpoint("api_default", "https://api.example.com")
CALL = Call("/v1/items", {"q": "a b"})


def following(body=None, call=CALL, headers=None, records=1, token_parameter="", **pages):
    paging = Paging(Pages(**pages), ENDPOINT, token_parameter)
    return paging.following(call, Response(200, CaseInsensitiveDict(headers), body, ""), 3, records)


def test_a_path_finds_names_with_dots_too():
    body = {"a": {"b": {"c": 1}}, "@odata.nextLink": "x", "n": None}
    assert at_path(body, "") is body
    assert [at_path(body, path) for path in ("a.b.c", "@odata.nextLink", "n")] == [1, "x", None]
    for path in ("a.x", "a.b.c.d", "n.x", "b", ".", "a."):
        assert at_path(body, path) is MISSING, path


def test_a_token_goes_into_the_query_or_the_body():
    body = {"meta": {"next": "t&1"}}
    assert following(body, token="meta.next", param="cursor").query == {"q": "a b", "cursor": "t&1"}
    made = following(body, call=Call("/x", json={"limit": 5}), token="meta.next", param="cursor")
    assert made == Call("/x", json={"limit": 5, "cursor": "t&1"})
    for last in ({}, {"meta": {"next": None}}, {"meta": {"next": ""}}, {"meta": []}):
        assert following(last, token="meta.next") is None
    with pytest.raises(SourceBusy, match=r"'meta\.next' in the response"):
        following({"meta": {"next": {"id": 1}}}, token="meta.next")


def test_a_number_counts_up_until_a_page_has_no_records():
    paging = Paging(Pages(number=0), ENDPOINT, "")
    assert paging.first(CALL).query["page"] == "0"
    assert following(number=0).query["page"] == "3"
    assert following(number=0, records=0) is None


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("?page=2", "/v1/items?page=2"),
        ("more?a=1&a=2", "/v1/more?a=1&a=2"),
        ("/v2?cursor=x%2Fy", "/v2?cursor=x%2Fy"),
        ("//API.example.com/v2", "/v2"),
        ("http://api.example.com:80/v2 3?q=ü&r=\r\nX: y", "/v2%203?q=%C3%BC&r=X:%20y"),
        ("?access_token=old&page=2", "/v1/items?page=2"),
    ],
)
def test_a_link_may_be_relative_and_never_brings_a_token(link, path):
    made = following({"next": link}, link="next", token_parameter="access_token")
    assert made == Call(path)


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("?page=2", "/v1/items?page=2"),
        ("https://gateway.example.com/weibo/v1/items?page=2", "/v1/items?page=2"),
        ("/v1/items?page=2", "/v1/items?page=2"),  # of a server that does not know the gateway
        ("/weibos/2", "/weibos/2"),
        ("/weibo", "/weibo"),
    ],
)
def test_a_link_is_below_the_path_of_the_connection(link, path):
    endpoint = Endpoint("api_default", "https://gateway.example.com/weibo")
    response = Response(200, CaseInsensitiveDict(), {"next": link}, "")
    assert Paging(Pages(link="next"), endpoint, "").following(CALL, response, 1, 1) == Call(path)


@pytest.mark.parametrize(
    "link", ["https://evil.example/v1", "//evil.example", "https://api.example.com@evil.example/"]
)
def test_a_link_to_another_host_fails_the_item(link):
    with pytest.raises(ItemRefused, match=r"another host \(evil\.example\)"):
        following({"next": link}, link="next")


def test_a_link_header_is_the_one_with_rel_next():
    header = '</a?p=1>; rel="prev", </b?p=3>; title="a, b"; rel="last next"'
    assert following(headers={"link": header}, link="Link") == Call("/b?p=3")
    for other in ("", "</a>", '</a>; rel="nextish"', '<; rel="next"'):
        assert following(headers={"Link": other}, link="Link") is None


def test_pages_are_told_in_one_way():
    for wrong in ({}, {"token": "a", "number": 1}):
        with pytest.raises(BadPipeline, match="exactly one"):
            Pages(**wrong)
