"""What the environment sets for all requests: proxies and trusted certificates."""

from __future__ import annotations

from contextlib import closing

import pytest

from fanfold.errors import BadConfiguration, SourceBusy
from fanfold.sources import Call
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.http import HttpClient
from fanfold.sources.responses import retry_after

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in PROXIES + BUNDLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def opened(url):
    HttpClient(Endpoint("api_default", url), {}, {}).close()


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("socks5://proxy:1080", "PySocks"),
        ("socks5h://user:s3cret@proxy:1080", "PySocks"),
        *(
            (proxy, "malformed")
            for proxy in (
                *("http://", "://proxy", "ftp://proxy:1", "http://user:s3cret@proxy:x", " "),
                *("http://user:s3cret@proxy:65536", "http://user:s3cret@[::1", "http://proxy:1\n"),
            )
        ),
    ],
)
@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("ALL_PROXY", "https://x.example"),
        ("https_proxy", "https://x.example"),
        ("HTTP_PROXY", "http://x.example"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    monkeypatch, proxy, reason, variable, url
):
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(
        BadConfiguration, match=rf"^{variable} cannot be used: .*{reason}.*NO_PROXY"
    ) as caught:
        opened(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None  # that of a library contains the address
    monkeypatch.setenv("NO_PROXY", "x.example")
    opened(url)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("1.5", 1.5), ("-5", None), ("1e5", None), ("７", None), ("soon", None), ("", None)],
)
def test_a_retry_after_may_have_decimals(header, seconds):
    assert retry_after({"Retry-After": header}) == seconds


@pytest.mark.parametrize(
    ("url", "environment", "reason"),
    [
        ("http://name.invalid", {}, "the name of the host is not known"),
        ("http://127.0.0.1:1", {}, "connection failed"),
        (
            "http://x.example",
            {"HTTP_PROXY": "http://127.0.0.1:1"},
            "the proxy .* cannot be reached",
        ),
        (
            "https://x.example",
            {"ALL_PROXY": "http://name.invalid"},
            "the proxy .* cannot be reached",
        ),
    ],
)
def test_a_failed_connection_names_what_failed(monkeypatch, url, environment, reason):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = HttpClient(Endpoint("api_default", url), {}, {})
    with closing(client), pytest.raises(SourceBusy, match=reason) as caught:
        client.send(Call("/"))
    assert caught.value.unavailable


@pytest.mark.parametrize("variable", BUNDLES)
def test_trusted_certificates_that_cannot_be_read_are_named_by_their_variable(
    monkeypatch, tmp_path, variable
):
    damaged = tmp_path / "ca.pem"
    damaged.write_text("not a certificate")
    for path, reason in ((tmp_path / "gone.pem", "No such file"), (damaged, "not a PEM file")):
        monkeypatch.setenv(variable, str(path))
        with pytest.raises(BadConfiguration, match=f"^{variable}={path}: .*{reason}"):
            opened("https://x.example")
        opened("http://x.example")  # needs none
    monkeypatch.setenv(variable, str(tmp_path))
    opened("https://x.example")
