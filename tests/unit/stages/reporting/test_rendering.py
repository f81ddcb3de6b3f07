"""Charts as files: whole, the same each time, and with names as text."""

import struct
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from fanfold.stages.reporting import style
from fanfold.stages.reporting.chart import Bar, Chart
from fanfold.stages.reporting.rendering import render
from fanfold.stages.reporting.wording import same

FOOT = same("a run")


def bars(*names):
    """A chart of bars with these labels."""
    return Chart(
        name="test",
        kind="bars",
        subject=same("Subject"),
        finding=same("Finding"),
        summary=same("Summary"),
        axis=None,
        header=(same("Label"), same("Value")),
        bars=tuple(
            Bar(same(name), 99 - position, fallbacks=(same(f"id {position}"),))
            for position, name in enumerate(names)
        ),
    )


@pytest.fixture
def without_chinese_fonts(monkeypatch):
    """As on a machine that has no font but matplotlib's own."""
    monkeypatch.setattr(style, "_CHINESE", ())
    style.families.cache_clear()
    style._fonts.cache_clear()
    yield
    style.families.cache_clear()
    style._fonts.cache_clear()


def parsed(svg):
    return ET.fromstring(svg)  # noqa: S314 - our own


def texts(svg):
    return [element.text for element in parsed(svg).iter("text")]


@pytest.mark.usefixtures("without_chinese_fonts")
def test_names_are_text_in_an_svg(tmp_path, hostile_names):
    """A formula, a tag or an entity is neither drawn nor parsed as one."""
    from fanfold.stages.reporting.sanitising import plain

    labels = [plain(name, 20) or "nothing" for name in hostile_names]
    rendered = render(bars(*labels, "$x^2$"), tmp_path, foot=FOOT)
    assert {*labels, "$x^2$"} <= set(texts(rendered.inline.en))
    assert "<script" not in rendered.inline.en


def test_svgs_have_no_style_nor_ids_nor_scripts(tmp_path):
    """A page with a strict policy takes them, and one beside the other."""
    rendered = render(bars("a", "b"), tmp_path, foot=FOOT)
    for inline in rendered.inline:
        elements = list(parsed(inline).iter())
        assert {element.tag for element in elements} <= {"svg", "rect", "line", "text"}
        for element in elements:
            assert not {"style", "id", "href", "class"} & set(element.attrib)
        assert "Finding" not in inline
        assert style.GROUND not in inline


def test_every_chart_of_a_run_is_a_png_that_is_not_blank(reported):
    images = reported[1].charts
    assert len(images) == 8
    for path in images:
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert image.width == 1000
            colours = image.convert("RGB").getcolors(1 << 20)
        shares = {colour: count / image.width / image.height for count, colour in colours}
        assert 0.3 < shares[255, 255, 255] < 0.95
        ink = tuple(bytes.fromhex(style.INK[1:]))
        assert shares[ink] > 0.001
        assert struct.unpack(">I", path.read_bytes()[16:20]) == (1000,)
