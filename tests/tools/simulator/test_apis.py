"""The APIs of Weibo, Mastodon and tushare as their pages describe them, and that of the weather stations."""

import json
from datetime import date
from urllib.parse import quote

import pytest

from fanfold.simulator import fediverse, hashtags, market, people, topics, tushare, weather, weibo


def code(answer):
    return int(answer.json["error_code"]) if "error_code" in answer.json else None


def test_show_finds_a_user_by_uid_or_screen_name(client):
    answer = client.show("1404376560")
    assert answer.status == 200
    assert answer.json == people.profile("1404376560")
    assert client.weibo(screen_name=answer.json["screen_name"]).json["id"] == 1404376560
    assert client.weibo(screen_name="用户1404376561").json["id"] == 1404376561
    assert code(client.weibo(screen_name="no such name")) == 20003


def test_all_paths_show_the_day_that_is_set(client, simulator):
    uids = [str(1404376560 + number) for number in range(9)]
    simulator.control(day=30)
    expected = [people.profile(uid, people.Age(30)) for uid in uids]
    assert client.show(uids[0]).json == expected[0]
    assert client.weibo("users/show_batch/other", uids=",".join(uids)).json["users"] == expected
    counts = client.weibo("users/counts", uids=",".join(uids)).json
    assert counts == [
        {name: profile[name] for name in each}
        for profile, each in zip(expected, counts, strict=True)
    ]
    assert len(counts[0]) == 4
    simulator.reset()
    assert client.show(uids[0]).json == people.profile(uids[0])


def test_errors_have_weibos_code_and_form(client):
    for query, expected in [
        ({"uid": "99"}, 20003),
        ({"uid": "9" * 30}, 20003),
        ({"uid": "12ab"}, 10017),
        ({"uid": "../etc"}, 10017),
        ({"uid": ""}, 10017),
        ({}, 10016),
        ({"uid": "1404376560", "access_token": "wrong"}, 21332),
    ]:
        answer = client.weibo(**query)
        assert code(answer) == expected, query
        assert answer.status == weibo.ERRORS[expected][0]
        assert answer.json["request"] == "/2/users/show.json"
    assert code(client.weibo("users/nothing")) == 10020
    assert code(client.send("/2/users/show.json", "POST")) == 10021


def test_weibos_token_comes_in_query_header_or_form_and_expires(simulator, client):
    def get_uid(**headers):
        return client.send("/2/account/get_uid.json", headers=headers)

    assert get_uid(Authorization=f"OAuth2 {client.token}").json == {"uid": 1404376560}
    assert code(get_uid(Authorization="OAuth2 wrong")) == code(get_uid()) == 21332
    form = f"access_token={client.token}"
    assert client.send("/oauth2/get_token_info", "POST", body=form).status == 200
    assert code(client.send("/oauth2/get_token_info", "POST", body="access_token=x")) == 21332
    simulator.control(token_expires_after=2)
    assert client.weibo("account/get_uid").status == 200, "only requests for users count"
    codes = [code(client.show("1404376560")) for _ in range(3)]
    assert codes == [None, None, 21327]
    assert code(client.weibo("account/get_uid")) == 21327
    assert code(client.send("/oauth2/get_token_info", "POST", body=form)) == 21327


def test_show_batch_answers_the_users_that_exist(client):
    answer = client.weibo("users/show_batch/other", uids="1404376560,99,1404376561")
    assert [user["id"] for user in answer.json["users"]] == [1404376560, 1404376561]
    too_many = ",".join(str(1_404_376_560 + n) for n in range(51))
    assert code(client.weibo("users/show_batch/other", uids=too_many)) == 10017
    assert code(client.weibo("users/show_batch/other")) == 10016


def test_mastodon_finds_an_account_by_name_or_id(client):
    answer = client.lookup("Alice")
    assert (answer.status, answer.json) == (200, fediverse.account("alice"))
    assert client.send(f"/api/v1/accounts/{answer.json['id']}").json == answer.json
    assert client.send("/api/v2/instance").json["domain"] == fediverse.DOMAIN
    for path in ("lookup?acct=nobody7", "lookup", "not-a-number", fediverse.id_of("nobody")):
        answer = client.send(f"/api/v1/accounts/{path}")
        assert (answer.status, answer.json) == (404, {"error": "Record not found"})


def test_mastodon_finds_accounts_of_its_own_domain_and_of_another_server_that_it_knows(client):
    assert client.lookup("alice@social.example").json == fediverse.account("alice")
    remote = client.lookup("alice@xn--bcher-kva.example").json
    assert (remote["acct"], remote["followers_count"]) == ("alice@bücher.example", -1)
    assert client.send(f"/api/v1/accounts/{remote['id']}").status == 404
    assert client.lookup("alice@other.example").status == 404
    suspended = client.lookup("suspended1").json
    assert (suspended["suspended"], suspended["note"], suspended["followers_count"]) == (
        True,
        "",
        0,
    )


def test_mastodon_checks_a_token_that_is_sent(simulator, client):
    right = {"Authorization": f"Bearer {client.token}"}
    assert client.lookup("alice", **right).status == 200
    answer = client.lookup("alice", Authorization="Bearer wrong")
    assert (answer.status, answer.json) == (401, {"error": "The access token is invalid"})
    path = "/api/v1/accounts/verify_credentials"
    assert client.send(path).status == 401
    assert client.send(path, headers=right).json["acct"] == "simulator"
    simulator.control(token_expires_after=0)
    assert client.lookup("alice").status == 200
    assert client.lookup("alice", **right).status == 401


def test_mastodon_pages_a_tag_by_absolute_links_until_a_page_is_empty(client, simulator):
    now = 1_780_000_000
    simulator.control(now=now)
    answer = client.send("/api/v1/trends/tags?limit=4&offset=2")
    assert answer.json == hashtags.trending(now)[2:6]
    assert (
        answer.headers["link"]
        == f'<{simulator.url}/api/v1/trends/tags?limit=4&offset=6>; rel="next"'
    )
    name = answer.json[0]["name"]
    path, found, pages = f"/api/v1/timelines/tag/{quote(name)}?limit=100", [], []
    while path:
        answer = client.send(path)
        pages.append(len(answer.json))
        found += answer.json
        path = answer.headers.get("link", "").partition(">")[0].removeprefix(f"<{simulator.url}")
    assert found == hashtags.statuses(hashtags.word_of(name.upper()), now, 1000, None)
    assert set(pages[:-2]) == {40}
    assert pages[-1] == 0
    assert client.send("/api/v1/timelines/tag/nobodyusesthis").status == 404
    assert len(set(map(hashtags.word_of, hashtags.NAMES))) == len(topics.WORDS)


def pages_of(client, station, until):
    """All readings of a station and the number of pages, following ``next``."""
    found, pages, cursor = [], 0, "0"
    while cursor is not None:
        answer = client.send(f"/v1/stations/{station}/readings?until={until}&cursor={cursor}")
        assert (answer.status, answer.json["station"]) == (200, station)
        assert 0 < len(answer.json["readings"]) <= weather.PAGE
        found += answer.json["readings"]
        pages, cursor = pages + 1, answer.json["next"]
    return found, pages


def test_weather_pages_give_each_reading_once_with_gaps_and_broken_values(client):
    """The readings are a function of station and hour, so two months agree where they overlap."""
    found, pages = pages_of(client, "K042", "2026-08-01")
    assert pages == 4
    assert found == weather.readings("K042", date(2026, 8, 1))
    times = [reading["measured_at"] for reading in found]
    assert times == sorted(set(times))
    assert 24 * weather.DAYS * 0.9 < len(times) < 24 * weather.DAYS, "no hour is missing"
    assert {float, str, type(None)} == {type(reading["temperature"]) for reading in found}
    later, _ = pages_of(client, "K042", "2026-08-11")
    assert [each for each in later if each["measured_at"] < "2026-08-01"] == [
        each for each in found if each["measured_at"] >= "2026-07-12"
    ]
    assert pages_of(client, "K043", "2026-08-01")[0] != found


def test_an_unknown_weather_station_is_404(client):
    for station in ("X042", "K42", "..%2Fetc"):
        assert client.send(f"/v1/stations/{station}/readings").status == 404
    answer = client.send("/v1/stations/K042/readings?until=yesterday")
    assert answer.status == 422


def asked(client, api_name="daily", token=None, fields="", **params):
    """The answer of tushare to a request."""
    body = {
        "api_name": api_name,
        "token": token or client.token,
        "params": params,
        "fields": fields,
    }
    answer = client.send("/", "POST", body=json.dumps(body))
    assert answer.status == 200
    return answer.json


@pytest.mark.filterwarnings("ignore:Series.values")  # exchange-calendars
def test_tushare_has_lots_thousands_and_the_newest_rows_first(client):
    symbol = "600519.SH"
    days = {"start_date": "20210301", "end_date": "20210331"}
    bars = market.bars(symbol, date(2021, 3, 1), date(2021, 3, 31))[::-1]
    data = asked(client, ts_code=symbol, fields="trade_date,close,vol,amount", **days)["data"]
    assert data["fields"] == ["trade_date", "close", "vol", "amount"]
    assert data["items"][3:] == [
        [f"{bar.day:%Y%m%d}", bar.close, bar.volume / 100, bar.amount / 1000] for bar in bars[3:]
    ]
    assert not data["has_more"]
    factors = asked(client, "adj_factor", ts_code=symbol, **days)["data"]["items"]
    assert factors == [[symbol, f"{bar.day:%Y%m%d}", bar.factor] for bar in bars]
    every = asked(client, trade_date="20210301")["data"]["items"]
    assert {row[0] for row in every} <= {*market.SYMBOLS}
    assert len(every) > 25
    whole = asked(client, ts_code=",".join(market.SYMBOLS[:3]))["data"]
    assert (len(whole["items"]), whole["has_more"]) == (tushare.ROWS, True)


def test_tushare_has_codes_for_errors_and_no_rows_of_an_unknown_symbol(client, simulator):
    assert asked(client, ts_code="999999.SH")["data"]["items"] == []
    for wrong, expected in [
        ({"token": "wrong", "ts_code": "600519.SH"}, 40101),
        ({"ts_code": "600519.SH", "start_date": "2021-03-01"}, -2001),
        ({"ts_code": "600519.SH", "end_date": "20210231"}, -2001),
        ({}, -2001),
        ({"api_name": "nothing"}, -2001),
    ]:
        answer = asked(client, **wrong)
        assert (answer["code"], answer["data"]) == (expected, None)
    simulator.control(quota_per_hour=1)
    codes = [asked(client, ts_code="999999.SH") for _ in range(2)]
    assert [answer["code"] for answer in codes] == [0, 40203]
    assert "每分钟最多访问该接口1次" in codes[1]["msg"]
