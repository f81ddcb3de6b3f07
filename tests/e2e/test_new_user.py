"""A new user's first days, with the README alone: Airflow's UI in Chromium, on the simulated API."""

from __future__ import annotations

import csv
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

from fanfold.local import launcher

# The stack whose scheduler starts runs. Playwright's own clean-up warns.
pytestmark = [
    pytest.mark.xdist_group("scheduled"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

DAG = "weibo_user_profiles"
README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
USERS = [str(1404376560 + number) for number in range(100)]
# In each batch, so that its numbers are not those of the run.
INVALID, REFUSED, UNKNOWN = USERS[4::8], USERS[1::8], USERS[2::4]
NUMBER = re.compile(r"(?<![\w.,:–/-])\d[\d,]*(?![\w.:%–/-])")


@pytest.fixture(scope="session")
def stack(scheduled):
    """The stack of fixtures like ``visitor`` and ``simulator``."""
    return scheduled


@pytest.fixture
def user(stack, simulator, visitor, page, number):
    # Runs of another DAG, which each publication starts, would only take time.
    stack.api("PATCH", "/api/v2/dags/account_segments", json={"is_paused": True})
    return NewUser(stack, simulator, visitor, page, number)


class NewUser:
    """What a user does and sees in Airflow's UI.

    Attributes:
        tab: The tab *Items* of the run that is open.
    """

    def __init__(self, stack, simulator, visitor, page, number):
        self.stack, self.simulator, self.page = stack, simulator, page
        self.tab, self._number = visitor.frame(), number

    def log_in(self):
        self.page.goto(f"{self.stack.url}/dags/{DAG}")
        self.page.locator("input").first.fill(self.stack.login)
        self.page.locator("input[type=password]").fill(self.stack.password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Trigger").first.wait_for()

    def press_trigger(self):
        self.page.mouse.move(0, 0)  # a message over the button stays while the mouse is on it
        self.page.get_by_role("button", name="Trigger").last.click()

    def trigger(self, items=None, **advanced):
        """Trigger the DAG with the form, as it is or over a file; open the tab; return the run."""
        # Within a run the tab with its frame has the button, too.
        self.page.goto(f"{self.stack.url}/dags/{DAG}")
        self.page.get_by_role("button", name="Trigger").first.click()
        field = self.page.locator("input[name=element_items_uri]")
        field.wait_for()
        if items:
            field.fill("/etc/passwd")
            self.press_trigger()
            self.page.get_by_text("is not a 'URI of an items file").first.wait_for()
            field.fill(items)
        if advanced:
            self.page.get_by_role("button", name="Advanced", exact=True).click()
        for name, value in advanced.items():
            self.page.locator(f"input[name=element_{name}]").fill(value)
        self.press_trigger()
        self.page.wait_for_url(re.compile(r"/runs/manual__"))
        run_id = re.search(r"/runs/([^/?]+)", self.page.url)[1].replace("%2B", "+")
        self.page.get_by_title("Items", exact=True).click()
        return run_id

    def open(self, run_id):
        self.page.goto(f"{self.stack.url}/dags/{DAG}/runs/{run_id}/plugin/fanfold-items")

    def sees(self, text):
        self.tab.get_by_text(text, exact=isinstance(text, str)).first.wait_for(timeout=120_000)

    def until(self, condition, seconds=120):
        for _ in range(5 * seconds):
            if found := condition():
                return found
            self.page.wait_for_timeout(200)
        pytest.fail(f"after {seconds} s: {found}")

    def numbers(self, *names):
        return [self._number(self.tab, name) for name in names]

    def fact(self, name):
        """The value of a fact in the head of the tab, which has it once."""
        label = self.tab.locator(".facts dt").filter(has_text=re.compile(f"^{name}$"))
        return label.locator("xpath=following-sibling::dd").inner_text()

    def choice(self, name):
        label = self.tab.locator("label").filter(has_text=re.compile(f"^{name}"))
        return label.locator("select")

    def summary(self, run_id):
        return self.stack.api("GET", f"/fanfold/api/dags/{DAG}/runs/{run_id}")

    def visible(self):
        """All that is to be read: Airflow's page, and the tab in it."""
        return self.page.inner_text("body") + "\n" + self.tab.locator("body").inner_text()


def test_a_new_user_finds_the_way_through_the_first_days(user):
    user.log_in()
    first = user.trigger()
    user.sees("Complete")
    assert user.numbers("planned", "ok", "rows") == [5, 5, 5]
    assert user.fact("Latest dataset") == "this run"

    a_refused_token_is_told_and_airflows_clearing_recovers(user)
    bad = a_bad_day_begins(user)
    mine = a_list_of_ones_own_is_put_on_a_schedule(user)
    a_bad_day_is_told_and_each_number_is_there_once(user, bad)
    the_scheduled_run_is_latest_and_is_compared(user, mine, first)
    the_bad_day_is_published_anyway_and_redriven(user, bad)


def a_refused_token_is_told_and_airflows_clearing_recovers(user):
    user.simulator.control(token_expires_after=3)
    user.trigger()
    user.sees(re.compile("The run failed in “fetch”"))
    user.sees(re.compile("21327: access token rejected; put a new one into the password"))
    assert user.tab.get_by_role("link", name="Open connection “weibo_default”").is_visible()
    assert user.numbers("ok", "failed") == [3, 2]

    user.simulator.reset()
    user.page.get_by_role("button", name=re.compile("clear", re.IGNORECASE)).first.click()
    dialog = user.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Clear only failed tasks").click()
    dialog.get_by_text("Affected Tasks: 6").wait_for()
    dialog.get_by_role("button", name="Confirm").click()
    user.sees("Complete")
    assert user.numbers("ok", "failed") == [5, 0]
    assert len(user.simulator.stats(all_uids=True)["uids"]) == 2


def a_bad_day_begins(user):
    """Progress is seen without a reload, with the time that is left."""
    faults = {"invalid": INVALID, "10008": REFUSED, "unknown": UNKNOWN}
    uids = {uid: fault for fault, users in faults.items() for uid in users}
    user.simulator.control(uids=uids, latency_ms=1000)
    listed = user.stack.home.inputs / "bad-day.csv"
    listed.write_text("\n".join(["user_id", *USERS]))
    bad = user.trigger(listed.as_uri(), batch_size="40")
    user.sees("planned")
    user.tab.locator(":root").evaluate("root => { root.ownerDocument.defaultView.same = 1 }")
    user.sees("Time remaining")
    assert re.search(r"\d (s|min)", user.fact("Time remaining"))
    assert user.visible().count("Time remaining") == 1
    seen = [0]
    user.until(lambda: seen.extend(user.numbers("ok")) or seen[-1] >= 50)
    assert seen == sorted(seen)
    assert any(0 < count < 50 for count in seen), seen
    assert user.tab.locator(":root").evaluate("root => root.ownerDocument.defaultView.same") == 1
    return bad


def a_list_of_ones_own_is_put_on_a_schedule(user):
    """As the README says, while the bad day ends; return the scheduled run."""
    [command] = re.findall(rf'make airflow ARGS="(variables set {DAG}_items .*)"', README)
    assert launcher.airflow(user.stack.home, shlex.split(command)) == 0
    path = Path(user.stack.environment["AIRFLOW__CORE__DAGS_FOLDER"]) / f"{DAG}.py"
    text = path.read_text("utf-8")
    assert "schedule=None" in text
    path.write_text(text.replace("schedule=None", 'schedule="@once"'), "utf-8")

    def runs():
        query = {"run_type": "scheduled"}
        return user.stack.api("GET", f"/api/v2/dags/{DAG}/dagRuns", params=query)["dag_runs"]

    return user.until(runs)[0]["dag_run_id"]


def a_bad_day_is_told_and_each_number_is_there_once(user, bad):
    user.sees(re.compile("The run failed in “consolidate”"))
    user.sees(re.compile("25 of 100"))
    user.sees("Publish anyway")
    outcomes = ["planned", "ok", "missing", "invalid", "failed", "rows", "rejected rows"]
    assert user.numbers(*outcomes) == [100, 50, 25, 12, 13, 50, 12]
    requests = user.summary(bad)["requests"]
    values = Counter([*user.numbers(*outcomes), requests["used"], requests["expected"]])
    # But the reason, which has numbers of its own.
    text = user.visible().replace(user.tab.get_by_role("alert").first.inner_text(), "")
    found = Counter(int(number.replace(",", "")) for number in NUMBER.findall(text))
    assert {value: found[value] for value in values} == values, text
    assert "Time remaining" not in text
    # Airflow's, and the column of the batches.
    assert len(re.findall("Duration", text)) == 2
    assert user.tab.locator(".facts").get_by_text(re.compile("Duration|Started|Run$")).count() == 0


def the_scheduled_run_is_latest_and_is_compared(user, mine, first):
    assert user.stack.wait(DAG, mine, timeout=120) == "success"
    user.open(mine)
    user.sees("Complete")
    assert user.fact("Latest dataset") == "this run"
    assert f"Variable {DAG}_items" in user.fact("List of items")

    user.tab.get_by_role("tab", name="Compare").click()
    user.choice("Run").select_option(first)
    user.sees("not in the list now")
    assert user.numbers("in both runs", "gone") == [2, 3]
    user.choice("Column").select_option("statuses_count")
    user.sees(re.compile("largest difference of statuses_count"))
    with user.page.expect_download() as download:
        user.tab.get_by_role("link", name="All differences (CSV)").click()
    lines = list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))
    assert sum("gone" in line.values() for line in lines) == 3

    found = user.stack.api(
        "GET", f"/fanfold/api/dags/{DAG}/runs/{mine}/suggestions", params={"prefix": "14"}
    )
    [shown] = found["suggestions"]
    user.tab.get_by_label("Find by key or name (user)").fill(shown["label"])
    user.tab.get_by_role("option").filter(has_text=shown["key"]).click()
    user.sees(f"User {shown['key']}")


def the_bad_day_is_published_anyway_and_redriven(user, bad):
    user.open(bad)
    for button, confirm, effect, verdict, outcomes in [
        ("Publish anyway", "Publish", "25.0% failed or was rejected", "Partial", [50, 25, 12, 13]),
        ("Redrive all failed", "Redrive", "25 requests", "Complete", [75, 25, 0, 0]),
    ]:
        user.simulator.reset()  # The source is well again.
        user.tab.get_by_role("button", name=button).click()
        dialog = user.tab.get_by_role("dialog")
        dialog.get_by_text(re.compile(effect)).wait_for()
        dialog.get_by_role("button", name=confirm, exact=True).click()
        user.sees(verdict)
        assert user.numbers("ok", "missing", "invalid", "failed") == outcomes
    assert user.fact("Latest dataset") == "unchanged: not this run"
    assert user.simulator.stats(all_uids=True)["uids"] == dict.fromkeys(INVALID + REFUSED, 1)
    user.sees("Redriven 2 times")
