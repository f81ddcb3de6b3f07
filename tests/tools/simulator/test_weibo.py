import time

import pytest

from fanfold.simulator import people, weibo


def code(answer):
    return int(answer.json["error_code"])


def test_show_answers_the_profile_of_the_uid(client):
    answer = client.show("1404376560")
    assert answer.status == 200
    assert answer.json == people.profile("1404376560")


def test_the_world_goes_on_when_it_is_told_to(client, simulator):
    """By the same number of days for all paths; a reset turns it back."""
    uids = [str(1404376560 + number) for number in range(9)]
    simulator.control(day=30)
    expected = [people.profile(uid, 30) for uid in uids]
    assert client.show(uids[0]).json == expected[0]
    assert client.weibo("users/show_batch/other", uids=",".join(uids)).json["users"] == expected
    counts = client.weibo("users/counts", uids=",".join(uids)).json
    followers = [profile["followers_count"] for profile in expected]
    assert [each["followers_count"] for each in counts] == followers
    assert followers != [people.profile(uid)["followers_count"] for uid in uids]
    simulator.reset()
    assert client.show(uids[0]).json == people.profile(uids[0])


def test_show_finds_a_user_by_screen_name(client):
    name = client.show("1404376560").json["screen_name"]
    assert client.weibo(screen_name=name).json["id"] == 1404376560
    assert client.weibo(screen_name="用户1404376561").json["id"] == 1404376561
    assert code(client.weibo(screen_name="no such name")) == 20003


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"uid": "99"}, 20003),
        ({"uid": "9" * 30}, 20003),
        ({"uid": "12ab"}, 10017),
        ({"uid": "../etc"}, 10017),
        ({"uid": ""}, 10017),
        ({}, 10016),
        ({"uid": "1404376560", "access_token": "wrong"}, 21332),
        ({"uid": "1404376560", "access_token": ""}, 21332),
    ],
)
def test_errors_have_weibos_code_and_form(client, query, expected):
    answer = client.weibo(**query)
    assert code(answer) == expected
    assert answer.status == weibo.ERRORS[expected][0]
    assert answer.json["request"] == "/2/users/show.json"
    assert answer.json["error"]


def test_error_codes_come_as_number_and_as_text(client):
    kinds = {type(client.show(str(uid)).json["error_code"]) for uid in range(30)}
    assert kinds == {int, str}


def test_the_token_is_taken_from_query_form_or_header(client):
    def get_uid(**headers):
        return client.send("/2/account/get_uid.json", headers=headers)

    assert get_uid(Authorization=f"OAuth2 {client.token}").json == {"uid": 1404376560}
    assert code(get_uid(Authorization="OAuth2 wrong")) == 21332
    assert code(get_uid()) == 21332


def test_token_info_tells_how_long_the_token_lives(client):
    form = f"access_token={client.token}"
    answer = client.send("/oauth2/get_token_info", "POST", body=form)
    assert answer.status == 200
    assert set(answer.json) == {"uid", "appkey", "scope", "create_at", "expire_in"}
    assert answer.json["expire_in"] > 0
    assert code(client.send("/oauth2/get_token_info", "POST", body="access_token=x")) == 21332
    assert code(client.send(f"/oauth2/get_token_info?{form}")) == 10021


def test_a_token_expires_after_so_many_requests(simulator, client):
    simulator.control(token_expires_after=2)
    assert client.weibo("account/get_uid").status == 200, "only requests for users are counted"
    assert [client.show("1404376560").status for _ in range(2)] == [200, 200]
    assert code(client.show("1404376560")) == 21327
    assert code(client.weibo("account/get_uid")) == 21327
    form = f"access_token={client.token}"
    assert code(client.send("/oauth2/get_token_info", "POST", body=form)) == 21327
    assert code(client.weibo(access_token="wrong")) == 21332


def test_show_batch_answers_the_users_that_exist(client):
    answer = client.weibo("users/show_batch/other", uids="1404376560,99,1404376561")
    assert [user["id"] for user in answer.json["users"]] == [1404376560, 1404376561]
    fifty = ",".join(str(1_404_376_560 + n) for n in range(51))
    assert code(client.weibo("users/show_batch/other", uids=fifty)) == 10017
    assert code(client.weibo("users/show_batch/other")) == 10016


def test_counts_are_those_of_the_profiles(client):
    (counts,) = client.weibo("users/counts", uids="1404376560").json
    profile = people.profile("1404376560")
    assert counts == {name: profile[name] for name in counts}
    assert len(counts) == 4


def test_the_quota_of_a_window_is_refused_then_reset(simulator, client):
    simulator.control(quota_per_hour=2, quota_window_s=0.5)
    start = time.monotonic()
    assert [client.show("1404376560").status for _ in range(2)] == [200, 200]
    status = client.weibo("account/rate_limit_status").json
    answer = client.show("1404376560")
    assert time.monotonic() - start < 0.5, "this machine is too slow for a window of 0.5 s"
    assert code(answer) == 10023
    assert (status["user_limit"], status["remaining_user_hits"]) == (2, 0)
    assert status["reset_time_in_seconds"] == 1
    while code_or_none(client.show("1404376560")) == 10023:
        assert time.monotonic() - start < 5
    assert time.monotonic() - start >= 0.5


def code_or_none(answer):
    return code(answer) if "error_code" in answer.json else None


def test_the_code_of_a_spent_quota_can_be_chosen(simulator, client):
    simulator.control(quota_per_hour=0, quota_code=10022)
    assert code(client.show("1404376560")) == 10022


def test_the_quota_of_a_second_is_refused(simulator, client):
    simulator.control(quota_per_second=3)
    codes = [code_or_none(client.show("1404376560")) for _ in range(8)]
    assert codes[:3] == [None] * 3
    assert 10024 in codes


def test_paths_about_the_account_cost_no_quota(simulator, client):
    simulator.control(quota_per_hour=1)
    for _ in range(3):
        assert client.weibo("account/get_uid").status == 200
    assert client.weibo("account/rate_limit_status").json["remaining_ip_hits"] == 1


def test_unknown_paths_and_methods_are_refused(client):
    assert code(client.weibo("users/nothing")) == 10020
    assert code(client.send("/2/users/show.json", "POST")) == 10021


@pytest.mark.parametrize("number", sorted(weibo.ERRORS))
def test_every_documented_error_can_be_had(simulator, client, number):
    simulator.control(uids={"1404376560": str(number)})
    answer = client.show("1404376560")
    assert code(answer) == number
    assert answer.status == weibo.ERRORS[number][0]
