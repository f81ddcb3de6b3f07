"""What the pipeline says of items has a Chinese counterpart, and what others say stays as it is."""

import re

import pytest

from fanfold.chinese import broken_in_chinese, reason_in_chinese, rule_in_chinese
from fanfold.model import Status
from fanfold.sources import mastodon, weibo
from fanfold.sources.http import _KINDS, Answer, busy_answer
from fanfold.stages.processing.contract import CONTRACT
from fanfold.workspace.parts import decide

ENGLISH = re.compile(r"[A-Za-z']{2,} [A-Za-z']{2,}")
"""Two words: a name or a term alone, such as JSON, stays."""


def answers():
    """Sentences of all kinds, as the sources make them."""
    for verdict in weibo.Verdict:
        yield f"Weibo 10001: {verdict.value}"
    for code, verdict in {**weibo.VERDICTS, 0: None}.items():
        if verdict is not weibo.Verdict.MISSING:
            yield str(weibo._error(code, Answer(400, {}, {})))
    yield weibo.read("17", Answer(400, {}, {"error_code": 20003})).reason
    yield mastodon.read("ada", Answer(404, {}, {"error": "gone"})).reason
    for status in (401, 429, 400):
        with pytest.raises(Exception, match="Mastodon") as caught:
            mastodon._refuse(Answer(status, {}, {}))
        yield str(caught.value)
    for _, kind in _KINDS:
        yield f"/2/users/show.json: {kind}"
    for answer in (Answer(302, {}, None), Answer(200, {}, []), Answer(200, {}, None, "")):
        yield str(busy_answer("/2/users/show.json", answer))
    yield decide("17", None, None, clean=False).reason
    fetched = type(decide("17", None, None, clean=False))("17", Status.OK, "", 1, "")
    yield decide("17", fetched, None, clean=False).reason


@pytest.mark.parametrize("sentence", sorted(set(answers())))
def test_every_reason_has_a_chinese_translation(sentence):
    said = reason_in_chinese(sentence)
    assert not ENGLISH.search(said), said
    assert re.search(r"[\u4e00-\u9fff]", said)
    # Figures are the same in both: codes, statuses, ids.
    assert re.findall(r"\d+", said) == re.findall(r"\d+", sentence)


@pytest.mark.parametrize(
    "rule",
    ["is text", "is a code", "is a date", "is true or false", "is a whole number of 64 bits"],
)
def test_rules_of_a_transform_are_translated(rule):
    assert not ENGLISH.search(rule_in_chinese(rule))
    assert rule_in_chinese("is the item asked for, 17") == "是所请求的 17"


def test_names_of_pandera_rules_are_not_translated():
    named = {check.error for column in CONTRACT.columns.values() for check in column.checks}
    assert {rule_in_chinese(rule) for rule in named} == named
    assert rule_in_chinese("not_nullable") == "不可为空"


@pytest.mark.parametrize(
    "text",
    ["", "–", "something that nobody here wrote", "there is no user who knows", "<b>是</b>"],
)
def test_other_text_is_not_translated(text):
    assert reason_in_chinese(text) == text


def test_a_value_is_never_translated():
    """It came from outside, and may read as one of our sentences."""
    said = broken_in_chinese("name", "no answer in time", "is text")
    assert said == "name：'no answer in time' 不符合规则“是文本”"
