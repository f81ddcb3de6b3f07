from __future__ import annotations

import pytest

from fanfold.errors import BadConfiguration
from fanfold.sources.endpoint import Endpoint, function_endpoint


def parse(**fields):
    empty = {"host": "api.weibo.com", "port": None, "schema": None, "token": None, "extra": {}}
    return Endpoint.parse("weibo_default", **{**empty, **fields})


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, "https://api.weibo.com"),
        ({"host": "http://127.0.0.1:8080/"}, "http://127.0.0.1:8080"),
        ({"schema": "http", "port": 81}, "http://api.weibo.com:81"),
        ({"host": "https://example.social", "port": 8443}, "https://example.social:8443"),
    ],
)
def test_a_host_may_be_a_name_or_an_address(fields, url):
    assert parse(**fields).url == url


@pytest.mark.parametrize("host", [None, "", "ftp://x", "https://", "https://user:pw@host"])
def test_a_wrong_host_is_named_with_its_connection(host):
    with pytest.raises(BadConfiguration, match="weibo_default"):
        parse(host=host)


@pytest.mark.parametrize("value", [0, -1, "many", float("nan"), float("inf"), [1]])
def test_a_wrong_budget_is_named_with_its_key(value):
    with pytest.raises(BadConfiguration, match="requests_per_second"):
        parse(extra={"requests_per_second": value})


def test_budgets_come_as_numbers_or_text():
    endpoint = parse(extra={"requests_per_second": "2.5", "requests_per_hour": 1000})
    assert (endpoint.requests_per_second, endpoint.requests_per_hour) == (2.5, 1000)
    assert parse(extra={"requests_per_minute": 90}).requests_per_second == 1.5


def test_the_token_is_no_part_of_a_representation():
    assert "s3cret" not in repr(parse(token="s3cret"))


def function_parse(**fields):
    empty = {"conn_type": "http", "host": None, "port": None, "schema": None}
    return function_endpoint(
        "map_default", **empty | {"login": None, "token": None, "extra": {}} | fields
    )


SCF = {
    "conn_type": "generic",
    "login": "AKID1",
    "token": "key",
    "extra": {"service": "scf", "region": "ap-x"},
}


@pytest.mark.parametrize(
    ("fields", "service", "url"),
    [
        ({"conn_type": "aws"}, "lambda", ""),
        ({"conn_type": "aws", "extra": {"endpoint_url": "http://x:1"}}, "lambda", "http://x:1"),
        (SCF, "scf", "https://scf.tencentcloudapi.com"),
        ({**SCF, "host": "http://127.0.0.1:1"}, "scf", "http://127.0.0.1:1"),
        ({"host": "example.org"}, "http", "https://example.org"),
    ],
)
def test_the_connection_says_where_functions_run(fields, service, url):
    endpoint = function_parse(**fields)
    assert (endpoint.service, endpoint.url) == (service, url)
    assert (endpoint.login, endpoint.region) == (
        ("AKID1", "ap-x") if service == "scf" else ("", "")
    )


@pytest.mark.parametrize("missing", ["login", "token", "extra"])
def test_scf_needs_key_and_region(missing):
    fields = {**SCF, missing: {"service": "scf"} if missing == "extra" else None}
    with pytest.raises(BadConfiguration, match=r"map_default.*SecretId as login, the SecretKey"):
        function_parse(**fields)


@pytest.mark.parametrize("login", ["AKID1\n", "ＡＫＩＤ"])
def test_a_key_id_that_no_header_can_carry_is_refused(login):
    with pytest.raises(BadConfiguration, match=r"map_default.*login and region must be printable"):
        function_parse(**{**SCF, "login": login})


def test_another_service_is_refused():
    with pytest.raises(BadConfiguration, match="not 'gcf'"):
        function_parse(host="x", extra={"service": "gcf"})


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://Here.example:443", "here.example"),
        ("http://here.example:80", "here.example"),
        ("http://here.example:443", "here.example:443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("https://[::1]", "[::1]"),
        ("https://gateway.example/A", "gateway.example/A"),
    ],
)
def test_a_site_is_the_same_whatever_way_its_address_is_written(url, site):
    assert Endpoint("mastodon_default", url).site == site
