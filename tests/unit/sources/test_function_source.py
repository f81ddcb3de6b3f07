from __future__ import annotations

import pytest

from fanfold import Function
from fanfold.errors import BadPipeline


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (lambda: Function(""), "needs the name of a function"),
        (lambda: Function(("get", "")), "needs the name of a function"),
        (lambda: Function("get", records="rows", read=print), "records or read, not both"),
        (lambda: Function("get", time_limit=0), "time_limit must be above 0"),
        (lambda: Function("get", lambda _, date: date), "has a parameter 'date'"),
    ],
)
def test_a_wrong_function_says_what_is_wrong(source, said):
    with pytest.raises(BadPipeline, match=said):
        source()
