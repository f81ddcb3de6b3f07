from __future__ import annotations

import pytest

from fanfold.errors import BadConfiguration
from fanfold.sources.endpoint import Endpoint, function_endpoint

SCF = {
    "conn_type": "generic",
    "login": "AKID1",
    "token": "key",
    "extra": {"service": "scf", "region": "ap-x"},
}
LAMBDA = {"conn_type": "aws", "extra": {}} | dict.fromkeys(
    ("host", "port", "schema", "login", "token")
)


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
        ({"host": "https://gateway/weibo"}, "https://gateway/weibo"),
        ({"host": "gateway/weibo/v 2/", "port": 8443}, "https://gateway:8443/weibo/v%202"),
        ({"host": " HTTPS://Gateway:/\n"}, "https://gateway"),
        ({"host": "[::1]:8080", "schema": "HTTP", "port": 81}, "http://[::1]:8080"),
        ({"host": "bücher.example/é"}, "https://xn--bcher-kva.example/%C3%A9"),
    ],
)
def test_a_host_may_be_a_name_or_an_address(fields, url):
    assert parse(**fields).url == url


# fmt: off
WRONG_HOSTS = [
    None, "", " ", "ftp://x", "https://", "https://user:s3cret@host", "https://:s3cret@host",
    "s3cret@host", "https://host:s3cret", "https://host:65536", "https://s3cret@host:x",
    "https://[::1", "https://::1]", "::1", "https://[host]", "a b", "a..b", "*.x", "x\ny",
    "https://host/weibo?access_token=s3cret", "https://host#s3cret", f"{'a' * 64}.example",
]
# fmt: on


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        *(({"host": host}, "host") for host in WRONG_HOSTS),
        ({"host": "https://host:0"}, "port"),
        *(({"port": port}, "port") for port in (0, -1, 65536)),
        ({"schema": "weibo"}, "schema"),
    ],
)
def test_a_wrong_host_is_named_with_its_connection_and_field(fields, field):
    with pytest.raises(
        BadConfiguration, match=rf"^Connection 'weibo_default'(:| has no) {field}\b"
    ) as caught:
        parse(**fields)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None  # that of a library contains the host


@pytest.mark.parametrize(
    "value", [0, -1, "many", float("nan"), float("inf"), [1], True, "1e300", 10**400]
)
def test_a_wrong_budget_is_named_with_its_key(value):
    with pytest.raises(BadConfiguration, match="requests_per_second"):
        parse(extra={"requests_per_second": value})


def test_budgets_come_as_numbers_or_text():
    endpoint = parse(extra={"requests_per_second": "2.5", "requests_per_hour": 1000})
    assert (endpoint.requests_per_second, endpoint.requests_per_hour) == (2.5, 1000)
    assert parse(extra={"requests_per_minute": 90}).requests_per_second == 1.5


@pytest.mark.parametrize("token", ["s3cret\n", "\ts3cret\r\n", " s3cret "])
def test_white_space_around_a_credential_is_removed(token):
    """``cat`` and Kubernetes secrets give a line break at the end."""
    assert parse(token=token).token == "s3cret"
    assert parse(token="\n").token is None
    endpoint = function_parse(**{**SCF, "token": token, "login": "AKID1\n"})
    assert (endpoint.token, endpoint.login) == ("s3cret", "AKID1")


@pytest.mark.parametrize(
    "token", ["s3\ncret", "s3cret\r\nX: y", "s3cret\0x", "\ufeffs3cret", "s3\x7fcret"]
)
@pytest.mark.parametrize("service", [{"host": "x"}, SCF, {"conn_type": "aws"}])
def test_a_control_character_in_a_credential_is_refused_without_its_value(token, service):
    for fields in ({"token": token}, {"login": token, "token": "t"}):
        with pytest.raises(
            BadConfiguration, match=r"map_default.*(password .*line break|login)"
        ) as caught:
            function_parse(**{**service, **fields})
        assert "cret" not in str(caught.value)


def test_a_quota_belongs_to_server_and_token():
    here = parse(token="s3cret")
    same = Endpoint.parse(
        "weibo_other",
        host="http://api.weibo.com",
        port=None,
        schema=None,
        token="s3cret\n",
        extra={},
    )
    assert here.scope == same.scope
    assert here.scope.startswith("api.weibo.com-")
    assert "s3cret" not in here.scope
    others = [
        parse(token="other"), parse(), parse(token="s3cret", host="gateway"),
        parse(token="s3cret", host="gateway/weibo"), parse(token="s3cret", port=8443),
    ]  # fmt: skip
    assert len({here.scope, *(each.scope for each in others)}) == 6


def test_functions_of_two_regions_or_accounts_have_quotas_of_their_own():
    region = {"extra": {"service": "scf", "region": "ap-y"}}
    scf = [function_parse(**{**SCF, **each}) for each in ({}, region, {"login": "AKID2"})]
    assert len({each.scope for each in scf}) == 3
    roles = [function_endpoint(name, **LAMBDA).scope for name in ("one_default", "other_default")]
    assert len(set(roles)) == 2


def test_a_connection_may_say_that_a_page_means_an_unknown_item():
    assert parse(extra={"not_found_pages": True}).not_found_pages
    assert not parse(extra={"not_found_pages": None}).not_found_pages
    with pytest.raises(BadConfiguration, match=r"weibo_default.*'not_found_pages' must be true"):
        parse(extra={"not_found_pages": "yes"})


def test_the_token_is_no_part_of_a_representation():
    assert "s3cret" not in repr(parse(token="s3cret"))


def function_parse(**fields):
    empty = {"conn_type": "http", "host": None, "port": None, "schema": None}
    return function_endpoint(
        "map_default", **empty | {"login": None, "token": None, "extra": {}} | fields
    )


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


def test_a_key_id_that_no_header_can_carry_is_refused():
    with pytest.raises(BadConfiguration, match=r"map_default.*login and region must be ASCII"):
        function_parse(**{**SCF, "login": "ＡＫＩＤ"})


def test_an_address_of_lambda_is_named_as_the_field_that_has_it():
    with pytest.raises(BadConfiguration, match="map_default': extra 'endpoint_url' must be"):
        function_parse(
            conn_type="aws", schema="bucket", port=1, extra={"endpoint_url": "http://[x"}
        )


def test_another_service_is_refused():
    with pytest.raises(BadConfiguration, match="not 'gcf'"):
        function_parse(host="x", extra={"service": "gcf"})


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://Here.example:443", "here.example"),
        ("http://here.example:80", "here.example"),
        ("https://here.example.:443", "here.example"),
        ("http://here.example:443", "here.example:443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("https://[::1]", "[::1]"),
        ("https://gateway.example/A", "gateway.example/A"),
    ],
)
def test_a_site_is_the_same_whatever_way_its_address_is_written(url, site):
    endpoint = Endpoint("mastodon_default", url)
    assert endpoint.site == site
    assert endpoint.scope.startswith(f"{site}-")
