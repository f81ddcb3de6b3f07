"""Messages for people, in English and Chinese: an id with parameters.

Logs, errors and files hold the English text, because that is what people search for. Where a reason
is stored, its id and parameters are stored beside the text; the run page and the report use them to
show it in Chinese. ``messages.json`` has the texts of the engine, the run page and the report. Each
source defines its own in its module, and ``plan.json`` carries them to the page.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Texts = Mapping[str, Sequence[Any]]
    """English and Chinese text by id; an English text may have the forms ``one`` and ``other``."""

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence with the id and the parameters that it was made from.

    Attributes:
        text: The sentence in English.
        id: Its key in a catalogue; empty for a text that is in none.
        params: The values in the sentence.
    """

    text: str
    id: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text

    def as_text(self) -> str:
        """Return the message as a JSON document, for a store that keeps text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the message that :meth:`as_text` wrote, or one of a text that is none."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):  # cut by the store, or written by another version
            return cls(text)


class Catalogue:
    """Texts by id, in English and Chinese. ``{name}`` in a text is a parameter.

    The parameter ``n`` selects among the forms of an English text.

    Texts of a later mapping replace those of an earlier one.
    """

    def __init__(self, *texts: Texts) -> None:
        self.texts: dict[str, Sequence[Any]] = {}
        for each in texts:
            self.texts.update(each)

    def message(self, id_: str, /, **params: Any) -> Message:
        """Return a message.

        Raises:
            KeyError: There is no such text, or a parameter of it is missing.
        """
        return Message(self.text(id_, "en", params), id_, params)

    def text(self, id_: str, language: Language, params: Mapping[str, Any]) -> str:
        """Return a text with its parameters; raises as :meth:`message` does."""
        template = self.texts[id_][LANGUAGES.index(language)]
        if not isinstance(template, str):
            template = template["one" if params["n"] == 1 else "other"]
        return re.sub(r"\{(\w+)\}", lambda found: str(params[found[1]]), template)

    def translate(self, message: Message, language: Language) -> str:
        """Return a stored message in a language; in English if the catalogue does not know it."""
        try:
            return self.text(message.id, language, message.params)
        except (LookupError, TypeError):
            return message.text

    def rule(self, rule: str, language: Language) -> str:
        """Return a rule of the contract; names of pandera's checks stay as they are."""
        return self.translate(Message(rule, f"rule.{rule}"), language)


_SECTIONS = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
ENGINE = Catalogue(_SECTIONS["reasons"])
"""Reasons of the engine; what the page shows (``page``) is read by its script alone."""
REPORT = Catalogue(_SECTIONS["report"])
"""What the report shows."""
UNITS = Catalogue(_SECTIONS["units"])
"""Units of durations."""
