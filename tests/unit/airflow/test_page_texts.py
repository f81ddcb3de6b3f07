"""The sentences of the run page: the same in both languages, none missing, none left over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "include" / "fanfold" / "airflow" / "page" / "static"
SENTENCE = re.compile(r'^  "([a-z_0-9.]+)":(.*?)(?=^  (?:"|//)|^};)', re.MULTILINE | re.DOTALL)


def sentences(language):
    """Return the names that each sentence puts values in, by the sentence's key."""
    text = (STATIC / f"text.{language}.js").read_text("utf-8")
    found = SENTENCE.findall(text)
    assert len(found) == len(dict(found)), "a key stands twice"
    return {key: set(re.findall(r"\{(\w+)\}", sentence)) for key, sentence in found}


def sources():
    paths = [path for path in STATIC.glob("*.js") if not path.name.startswith("text.")]
    return "\n".join(path.read_text("utf-8") for path in paths)


def test_both_languages_have_the_same_sentences_with_the_same_values():
    english, chinese = sentences("en"), sentences("zh")
    assert len(english) > 200
    assert english == chinese


def test_every_sentence_is_used_and_every_used_one_exists():
    """Keys are written out, or made of a beginning that is, such as ``outcome.${name}``."""
    code = sources()
    known = set(sentences("en"))
    asked = set(re.findall(r'say\(\s*"([a-z_0-9.]+)"', code))
    assert asked
    assert asked <= known
    written = set(re.findall(r'"([a-z_0-9]+(?:\.[a-z_0-9]+)*)"', code))
    begun = set(re.findall(r"`([a-z_0-9.]+)\$\{", code))
    assert begun
    left = {key for key in known - written if not any(key.startswith(prefix) for prefix in begun)}
    assert left == set()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_sentence_is_in_its_language(language):
    text = (STATIC / f"text.{language}.js").read_text("utf-8")
    said = [re.sub(r"\{\w+\}", "", each) for each in re.findall(r': "([^"]{12,})"', text)]
    said = [each for each in said if re.search(r"[^\W\d_]", each)]
    assert said
    chinese = [sentence for sentence in said if re.search(r"[\u4e00-\u9fff]", sentence)]
    assert len(chinese) == (len(said) if language == "zh" else 0)
