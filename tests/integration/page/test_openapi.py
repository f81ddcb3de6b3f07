"""The API describes itself whole, and its page needs nothing from elsewhere."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest

METHODS = ("get", "put", "post", "delete", "patch")
OTHER_THAN_JSON = {
    "download_comparison": "text/csv",
    "download_file": "application/octet-stream",
    "download_failures": "application/x-ndjson",
    "download_missing": "application/x-ndjson",
    "download_rejected": "application/x-ndjson",
    "get_report": "text/html",
}


@pytest.fixture
def document(site):
    answer = site["viewer"].get("/fanfold/openapi.json")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def operations(document):
    """The operations of the document by path and method."""
    return {
        f"{method.upper()} {path}": operations[method]
        for path, operations in document["paths"].items()
        for method in METHODS
        if method in operations
    }


def test_the_document_has_every_route_of_the_api(operations):
    from fanfold.airflow.page.app import create_app

    routes = {
        f"{method} {route.path}"
        for route in create_app().routes
        for method in route.methods
        if route.path.startswith("/api/")
    }
    assert set(operations) == routes


def test_every_operation_has_a_login_and_typed_answers_and_errors(document, operations):
    """A redirection has no content, and a report is described by its content type."""
    schemas = document["components"]["schemas"]
    assert set(schemas["ApiError"]["required"]) == {"code", "detail"}
    for where, operation in operations.items():
        used = {name for way in operation["security"] for name in way}
        assert set() < used <= set(document["components"]["securitySchemes"]), where
        responses = operation["responses"]
        refused = {status for status in responses if status.startswith(("4", "5"))}
        assert {"401", "403"} <= refused, where
        for status in refused:
            schema = responses[status]["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/ApiError"}, f"{where}: {status}"
        if operation["operationId"] == "download_file":
            assert "307" in responses
        [(kind, content)] = responses["200"]["content"].items()
        assert kind == OTHER_THAN_JSON.get(operation["operationId"], "application/json"), where
        if kind == "application/json":
            name = content["schema"]["$ref"].rsplit("/", 1)[-1]
            assert schemas[name]["properties"], where


def test_the_docs_page_loads_no_external_resource(site, address):
    docs = f"{address}/fanfold/docs"
    page = site["viewer"].get("/fanfold/docs").text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    files = [urljoin(docs, name) for name in loaded if not name.startswith("data:")]
    assert {name.rsplit("/", 1)[-1] for name in files} == {
        "swagger-ui.css",
        "swagger-ui-bundle.js",
        "docs.js",
    }
    for file in files:
        assert file.startswith(f"{address}/fanfold/static/"), file
        answer = site["viewer"].get(urlsplit(file).path)
        assert (answer.status_code, bool(answer.content)) == (200, True), file
    [own] = [file for file in files if file.endswith("/docs.js")]
    script = site["viewer"].get(urlsplit(own).path).text
    assert "//" not in re.sub(r"^//.*$", "", script, flags=re.MULTILINE), "an address of elsewhere"
    assert 'url: "openapi.json"' in script
