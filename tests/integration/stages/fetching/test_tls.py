"""A connection whose scheme, port or certificate is wrong says which of them."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fanfold import Call, SourceBusy
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.http import HttpClient


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f'"{self.path}"'.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    """The certificate of ``localhost``, signed by itself, with its key in the same file."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        made.public_bytes(pem) + key.private_bytes(pem, form, serialization.NoEncryption())
    )
    return path


@contextmanager
def serving(certificate=None, ciphers=None):
    """Start a server; with ``ciphers``, it speaks TLS 1.2 with these only."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if ciphers:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
        # The handshake belongs to the thread of the request.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(url):
    endpoint = Endpoint.parse("api_default", host=url, port=None, schema=None, token=None, extra={})
    client = HttpClient(endpoint, {"access_token": "s3cret"}, {})
    try:
        return client.send(Call("/a"))[0].body
    finally:
        client.close()


def failure(url):
    with pytest.raises(SourceBusy) as caught:
        send(url)
    assert caught.value.unavailable
    assert caught.value.__context__ is None  # that of a library contains the URL with the token
    return str(caught.value)


def test_https_to_a_port_without_tls_is_no_untrusted_certificate():
    with serving() as port:
        assert "the server does not speak TLS here" in failure(f"https://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "http://api.invalid",
            "the name of the host is not known; check the connection's host",
        ),
        ("http://127.0.0.1:1", "no server accepts connections there; check host and port"),
    ],
)
def test_a_server_that_cannot_be_found_is_told(url, reason):
    assert reason in failure(url)


def test_what_is_not_http_is_told_apart_from_a_lost_connection():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x15\x03\x03\x00\x02\x02\x46")  # an alert of TLS

        thread = threading.Thread(target=answer)
        thread.start()
        said = failure(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.join()
    assert "the response is not HTTP; check http://" in said


def test_a_certificate_is_trusted_if_the_environment_says_so(certificate, monkeypatch):
    with serving(certificate) as port:
        assert "not trusted (self-signed certificate)" in failure(f"https://localhost:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert send(f"https://localhost:{port}/weibo/") == "/weibo/a?access_token=s3cret"
        assert "not trusted (IP address mismatch" in failure(f"https://127.0.0.1:{port}")


def test_a_handshake_that_fails_says_why(certificate):
    with serving(certificate, ciphers="AES128-GCM-SHA256") as port:  # its key is none of RSA
        said = failure(f"https://localhost:{port}")
    assert "the TLS handshake failed (" in said
    assert "HANDSHAKE_FAILURE)" in said
