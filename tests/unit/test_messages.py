"""Messages: every id has both languages, every id in the code exists, and stored ones are translated."""

import ast
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

import fanfold
from fanfold.loader import load_pipeline, pipeline_names
from fanfold.messages import ENGINE, Catalogue, Message
from fanfold.sources import http, strict_json
from fanfold.stages.processing import ANOTHER_ROW
from fanfold.stages.processing.coercion import kind_of
from fanfold.stages.processing.contract import NOT_RETURNED
from fanfold.stages.processing.files.delimited import FIELDS, HEADER, RECORD
from fanfold.stages.processing.files.documents import OBJECT
from pipelines import _weibo_api as weibo

SOURCES = {name: load_pipeline(name).pipeline.source for name in pipeline_names()}
SECTIONS = json.loads((Path(fanfold.__file__).parent / "messages.json").read_text("utf-8"))
ALL = Catalogue(ENGINE.texts, *(source.messages for source in SOURCES.values()))
CHINESE = re.compile(r"[\u4e00-\u9fff]")


def forms(text):
    return [text] if isinstance(text, str) else list(text.values())


def params(text):
    return {name for form in forms(text) for name in re.findall(r"\{(\w+)\}", form)}


@pytest.mark.parametrize("section", ["page", "report", "reasons", "units"])
def test_a_message_has_both_languages_with_the_same_parameters(section):
    texts = ALL.texts if section == "reasons" else SECTIONS[section]
    for english, chinese in texts.values():
        check(english, chinese)


def check(english, chinese):
    assert params(english) == params(chinese), english
    assert not any(CHINESE.search(form) for form in forms(english)), english
    words = re.sub(r"\{\w+\}|DAG", "", chinese)
    assert CHINESE.search(words) or not re.search(r"[A-Za-z]", words), chinese


def test_a_source_names_its_messages_after_itself():
    for name, source in SOURCES.items():
        names = {id_.partition(".")[0] for id_ in source.messages}
        assert len(names) <= 1, name
        assert not names & {id_.partition(".")[0] for id_ in ENGINE.texts}, name


def calls():
    """Every call of ``Catalogue.message`` with a literal id, as (place, id, parameters)."""
    for path in sorted(Path(fanfold.__file__).parents[1].rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "message":
                for argument in node.args:
                    if isinstance(argument, ast.Constant):
                        where = f"{path.name}:{node.lineno}"
                        yield where, argument.value, {each.arg for each in node.keywords}


def test_every_id_in_the_code_exists_and_gets_its_parameters():
    found = list(calls())
    assert len(found) > 10
    wrong = [
        (where, id_)
        for where, id_, given in found
        if id_ not in ALL.texts or params(ALL.texts[id_][0]) != given
    ]
    assert wrong == []


def test_every_id_that_is_computed_exists():
    for kind in weibo.ErrorKind:
        assert kind.message(1).id in weibo.API.messages
    for _, id_ in http._MESSAGE_IDS:
        assert ENGINE.message(id_, path="/x").text.startswith("/x: ")
    for body in (b"{", b"[" * 99 + b"]" * 99, b"[NaN]", b'{"a":1,"a":2}'):
        flaw = strict_json.parse(body)[1]
        assert ENGINE.message(flaw, path="/x", status=200).text.startswith("/x: HTTP 200, ")


def test_the_rules_of_the_engine_are_those_with_a_translation():
    whole = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
    natural = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
    others = [pa.string(), pa.bool_(), pa.float32(), pa.float64(), pa.decimal128(9, 2), pa.date32()]
    kinds = [kind_of(each) for each in (*whole, *natural, *others, pa.list_(pa.int8()))]
    kinds += [kind_of(pa.timestamp("us", "UTC")), kind_of(pa.dictionary(pa.int8(), pa.string()))]
    rules = {kind.rule for kind in kinds} | {"not_nullable", "unique", NOT_RETURNED, ANOTHER_ROW}
    rules |= {FIELDS, RECORD, HEADER, OBJECT}
    assert {f"rule.{rule}" for rule in rules} == {id_ for id_ in ENGINE.texts if "rule." in id_}
    assert all(ENGINE.rule(rule, "en") == rule for rule in rules)


def test_a_message_is_english_and_is_translated_by_its_id():
    message = ALL.message("weibo.quota", code=10023)
    assert str(message) == "Weibo 10023: the quota is used up"
    assert ALL.translate(message, "zh") == "微博 10023：配额已用完"
    assert Message.from_text(message.as_text()) == message


@pytest.mark.parametrize(
    "message",
    [
        Message("no answer in time"),
        Message("no answer in time", "of.another.version", {"n": 1}),
        Message("no answer in time", "weibo.quota", {}),
        Message.from_text("no answer in time"),
    ],
)
def test_a_message_that_the_catalogue_does_not_know_stays_english(message):
    assert ALL.translate(message, "zh") == "no answer in time"


def test_a_parameter_is_inserted_as_it_is():
    """It may come from outside, and may look like a parameter or a format."""
    message = ENGINE.message("http.read_timeout", path="{status} {0.__class__} \\1")
    assert message.text == "{status} {0.__class__} \\1: response timed out"


def test_the_form_of_a_text_follows_n():
    catalogue = Catalogue({"x": [{"one": "{n} item", "other": "{n} items"}, "{n} 个条目"]})
    assert [catalogue.message("x", n=n).text for n in (0, 1, 2)] == ["0 items", "1 item", "2 items"]
