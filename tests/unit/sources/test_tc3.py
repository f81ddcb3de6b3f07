"""Signatures of Tencent Cloud's API, against its documentation and its own client."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from tencentcloud.common.abstract_client import AbstractClient
from tencentcloud.common.credential import Credential

from fanfold.sources.functions.tc3 import authorization

STARS = "*" * 32
"""The documentation's example is signed with masked keys, asterisks included."""


def test_the_example_of_the_documentation():
    body = (
        rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    )
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Host": "cvm.tencentcloudapi.com",
        "X-TC-Action": "DescribeInstances",
    }
    assert authorization(
        f"AKID{STARS}", STARS, service="cvm", timestamp=1551113065, headers=headers, body=body
    ) == (
        f"TC3-HMAC-SHA256 Credential=AKID{STARS}/2019-02-25/cvm/tc3_request, "
        "SignedHeaders=content-type;host;x-tc-action, "
        "Signature=10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f"
    )


@pytest.mark.parametrize("body", [b"{}", '{"Event": "{\\"城市\\": \\"上海\\"}"}'.encode()])
@pytest.mark.parametrize("timestamp", [1785542399, 1785542400])  # before and after midnight in UTC
def test_the_client_of_tencent_cloud_computes_the_same_signature(body, timestamp):
    headers = {"Content-Type": "application/json", "Host": "127.0.0.1:8080"}
    date = "2026-07-31" if timestamp % 86400 else "2026-08-01"
    request = SimpleNamespace(
        uri="/",
        data=body,
        method="POST",
        header={**headers, "X-TC-Timestamp": str(timestamp)},
    )
    client = AbstractClient(Credential("AKID1", "key"), "ap-guangzhou")
    theirs = client._get_tc3_signature({}, request, date, "scf", "key")

    ours = authorization(
        "AKID1", "key", service="scf", timestamp=timestamp, headers=headers, body=body
    )

    assert re.findall(r"Signature=(\w+)", ours) == [theirs]
    assert f"Credential=AKID1/{date}/scf/tc3_request" in ours
