"""The TLS proxy of docker-compose.tls.yaml, with a self-signed certificate."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess

import driver
import pytest

from fanfold.cluster import rolling
from fanfold.cluster.compose import Compose

NGINX = 101


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    names = "subjectAltName=DNS:localhost"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", names, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    for path in (folder, key, cert):
        os.chown(path, NGINX, NGINX)
    return cert


@pytest.fixture(scope="module")
def port(cluster, certificate):
    port = driver.free_port()
    plain = cluster.compose
    overrides = {
        **plain.overrides,
        "COMPOSE_FILE": "docker-compose.yaml:docker-compose.tls.yaml",
        "TLS_FOLDER": str(certificate.parent),
        "TLS_BIND": "127.0.0.1",
        "TLS_PORT": str(port),
        "FANFOLD_URL": f"https://localhost:{port}",
    }
    tls = Compose(plain.folder, plain.env_file, overrides)
    for service in ("airflow-apiserver", "tls"):
        rolling.start(tls, service=service)
    return port


@pytest.fixture
def trusting(certificate):
    return ssl.create_default_context(cafile=certificate)


def test_the_api_answers_over_tls(cluster, port, trusting):
    connection = http.client.HTTPSConnection("localhost", port, context=trusting, timeout=30)
    password = cluster.compose.variables["AIRFLOW_ADMIN_PASSWORD"]
    account = json.dumps({"username": "admin", "password": password})
    connection.request("POST", "/auth/token", account, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert json.loads(answer.read())["access_token"]
    assert answer.headers["Strict-Transport-Security"]
    connection.close()


def test_the_login_uses_secure_cookies_and_redirects(port, trusting):
    connection = http.client.HTTPSConnection("localhost", port, context=trusting, timeout=30)
    connection.request("GET", "/auth/login/")
    answer = connection.getresponse()
    cookies = answer.headers.get_all("Set-Cookie") or []
    answer.read()
    assert answer.status == 200
    assert cookies
    assert all("secure" in cookie.lower() for cookie in cookies)
    connection.request("GET", "/api/v2/auth/login")
    answer = connection.getresponse()
    answer.read()
    assert answer.status in {302, 307}
    assert not answer.headers["Location"].startswith("http://")
    connection.close()


def test_plain_http_and_old_protocols_are_refused(port, trusting):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().status == 400
    connection.close()
    found = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1"],
        input=b"",
        capture_output=True,
        check=False,
    )
    assert found.returncode != 0
    with trusting.wrap_socket(
        socket.create_connection(("127.0.0.1", port)), server_hostname="localhost"
    ) as secured:
        assert secured.version() == "TLSv1.3"
