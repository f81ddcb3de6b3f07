"""The bench of the run page: what is asked for, and what becomes of the figures."""

import pytest

FILES = {
    "run": b'<link rel="stylesheet" href="static/a.css">'
    b'<link rel="icon" href="data:,"><script type="module" src="static/main.js"></script>',
    "static/main.js": b'import { a,\n  b } from "./one.js";\nimport "./vendor/lib.js";\nrun();',
    "static/one.js": b'import { c } from "./main.js";\nimport { d } from "./two.js";\n'
    b'export function late() {\n  return import("./later.js");\n}\nconst text = "./none.js";',
    "static/two.js": b'export { e } from "./one.js";',
    "static/vendor/lib.js": b'export const f = 1; // as in from "./elsewhere.js"',
}


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([5.0], 0.95, 5.0), (range(100, 0, -1), 0.95, 95), (range(1, 31), 0.95, 29), ([2, 1], 0.5, 1)],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values, share, expected):
    from measuring import percentile

    assert percentile(list(values), share) == expected


def test_what_the_first_paint_needs_are_all_static_imports_each_once():
    from page_api import needed_files

    assert needed_files(FILES.__getitem__) == [
        "static/a.css",
        "static/main.js",
        "static/one.js",
        "static/vendor/lib.js",
        "static/two.js",
    ]


def test_all_files_of_our_page_are_found():
    from ground import ROOT
    from page_api import needed_files

    static = ROOT / "include" / "fanfold" / "airflow" / "page"
    named = {"run": "static/page.html"}
    needed = needed_files(lambda address: (static / named.get(address, address)).read_bytes())
    assert "static/vendor/preact.js" in needed
    assert not [address for address in needed if "uplot" in address], "the chart is loaded later"


def test_requests_are_sent_in_turn_after_one_to_warm_up():
    from page_api import in_turn

    sent = []
    asks = {name: lambda name=name: sent.append(name) or len(sent) for name in ("a", "b")}
    answers = in_turn(asks, 2)
    assert sent == ["a", "b", "a", "b", "a", "b"]
    assert answers == {"a": [3, 5], "b": [4, 6]}


def test_requests_that_belong_together_are_one_figure():
    from page_api import figures_of
    from page_server import Answer

    def answer(seconds):
        return Answer(seconds, b"x" * 512, compressed=False)

    rounds = [[answer(0.010), answer(slow)] for slow in (1, 2)]
    assert figures_of(rounds) == {"median_ms": 1510.0, "p95_ms": 2010.0, "sent_kib": 1, "kib": 1}


def test_made_items_come_out_as_said_and_in_the_shares_that_are_told():
    from collections import Counter

    from page_workspace import _done, key_at, status_at

    from fanfold.model import Status

    found = Counter(status_at(position) for position in range(100_000))
    shares = {status: round(100 * found[status] / 100_000, 1) for status in found}
    assert shares == {"ok": 98.2, "missing": 1.0, "failed": 0.5, "invalid": 0.3}
    place = next(place for place in range(10_000) if status_at(place) is Status.FAILED)
    outcome, record = _done(place, "")
    assert (outcome.key, outcome.status, record) == (key_at(place), Status.FAILED, None)


def figures(median_ms):
    return {"median_ms": median_ms, "p95_ms": 2 * median_ms, "kib": 3.0, "sent_kib": 1.0}


def run(items, searched):
    from tables import PAGE_BASELINE, PAGE_DRAWN, PAGE_DRAWN_AGAIN, PAGE_DRAWN_BASELINE

    names = ("item by key: missing", "item by key: invalid", "item by key: ok, from disk")
    return {
        "items": items,
        "requests": {
            PAGE_BASELINE: figures(50.0),
            "summary, finished": figures(10.0),
            "summary, active": figures(20.0),
            "item by key: ok": figures(searched),
            **{name: figures(5.0) for name in names},
        },
        "first_paint": figures(400.0),
        "browser": {
            PAGE_DRAWN_BASELINE: figures(900.0),
            PAGE_DRAWN: figures(300.0),
            PAGE_DRAWN_AGAIN: figures(600.0),
        },
        "look_up_ms": 0.5,
        "scan_ms": 90.0,
        "cold_scan_ms": 900.0,
        "poll_cpu_s": 1.5,
        "peak_mb": 400.0,
        "keys_db": 2**20,
        "workspace": 2**30,
    }


def test_the_table_has_each_length_of_a_list_with_ratios_to_airflow():
    from tables import PAGE_DRAWN, PAGE_DRAWN_AGAIN, page_api

    machine = {"cores": 2, "memory_gb": 24, "processor": "x", "python": "3", "system": "y"}
    data = {"page_api": {"b": run(1_000_000, 160.0), "a": run(100_000, 25.0)}}
    table = page_api({"machine": {**machine, "day": "2026-11-24"}, **data})
    assert "| item by key: ok | 25.0 (50.0) | 3.00 | ×0.50 | 160 (320) | 3.00 | ×3.20 |" in table
    assert "| 1,000,000 items, item by key: ok | 300 ms | 320 ms | no |" in table
    assert "| 1,000,000 items, item by key: missing | 300 ms | 10.0 ms | yes |" in table
    assert f"| {PAGE_DRAWN} | 300 (600) | ×0.33 | 300 (600) | ×0.33 |" in table
    assert f"| 100,000 items, {PAGE_DRAWN} | 1,000 ms | 600 ms | yes |" in table
    assert f"| 100,000 items, {PAGE_DRAWN_AGAIN} | 1,000 ms | 1,200 ms | no |" in table
    assert "| – from disk | 900 (×1,800) | 900 (×1,800) |" in table


def test_only_the_tables_that_are_asked_for_are_filled():
    from page import filled

    old = "<!-- bench:clients -->\nold\n<!-- /bench -->\n"
    text = old + "<!-- bench:page-api -->\nold\n<!-- /bench -->\n"
    assert filled(text, {}, ["page-api"]) == (
        old + "<!-- bench:page-api -->\nNot measured.\n<!-- /bench -->\n"
    )
