"""The charts of a run and their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.model import Status
from fanfold.stages.reporting.aggregates import RECENCY_DAYS
from fanfold.stages.reporting.chart import Bar, Chart, LeftOut
from fanfold.stages.reporting.region_names import REGIONS
from fanfold.stages.reporting.sanitising import isolated, plain
from fanfold.stages.reporting.spreads import histogram, quartile_marks
from fanfold.stages.reporting.wording import Text, full, number, percent, rate, same, say, short

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.model import Counts
    from fanfold.stages.reporting.aggregates import Account, Aggregates, Spread
    from fanfold.stages.reporting.chart import Colour

TOP_REGIONS = 15
NAME_WIDTH = 40


def charts_of(data: Aggregates, counts: Counts) -> list[Chart | LeftOut]:
    """Return the charts of a run in page order."""
    made: list[Chart | LeftOut] = [_outcomes(counts)]
    makers: tuple[tuple[str, bool, Callable[[Aggregates], Chart]], ...] = (
        # In pairs of similar height, shown side by side on a wide page.
        ("recency", sum(data.recency) > 0, _recency),
        ("followers", True, _followers),
        ("activity", data.rates.values > 0, _activity),
        ("years", True, _years),
        (
            "verified",
            any(data.verified_types[kind] for kind in data.verified_types if kind),
            _types,
        ),
        ("regions", any(data.regions[name] for name in data.regions if name), _regions),
        ("top", True, _top),
    )
    for name, present, make in makers:
        if data.rows and present:
            made.append(make(data))
        else:
            reason = "empty.column" if data.rows else "empty.rows"
            made.append(LeftOut(name, say(reason, subject=say(f"{name}.subject"))))
    return made


def _outcomes(counts: Counts) -> Chart:
    shares: dict[Colour, int] = {
        "ok": counts.ok,
        "missing": counts.missing,
        "invalid": counts.invalid,
        "failed": counts.failed,
    }
    finding = (
        say(
            "outcomes.finding",
            ok=counts.ok,
            planned=counts.planned,
            share=percent(counts.ok, counts.planned),
        )
        if counts.planned
        else say("outcomes.none")
    )
    listed = [
        Text(f"{name.en} {count:,}", f"{name.zh} {count:,}")
        for status, count in shares.items()
        for name in [say(status)]
    ]
    return Chart(
        name="outcomes",
        kind="bars",
        subject=say("outcomes.subject"),
        finding=finding,
        summary=Text(
            ", ".join(text.en for text in listed) + ".",
            "，".join(text.zh for text in listed) + "。",
        ),
        axis=None,
        header=(say("outcomes.label"), say("items"), say("share")),
        bars=tuple(Bar(say(Status(name)), count, name) for name, count in shares.items()),
        whole=counts.planned,
    )


def _followers(data: Aggregates) -> Chart:
    most = number(data.followers.largest)
    return _distribution("followers", data.followers, number, whole_numbers=True, most=most)


def _activity(data: Aggregates) -> Chart:
    never = full(data.rates.zeros)
    return _distribution("activity", data.rates, rate, whole_numbers=False, never=never)


def _distribution(
    name: str,
    spread: Spread,
    written: Callable[[float], Text],
    *,
    whole_numbers: bool,
    **more: Text,
) -> Chart:
    quartiles = spread.quartiles or (0.0, 0.0, 0.0)
    low, median, high = map(written, quartiles)
    return Chart(
        name=name,
        kind="histogram",
        subject=say(f"{name}.subject"),
        finding=say(f"{name}.finding", median=median),
        summary=say(f"{name}.summary", q1=low, q3=high, **more),
        axis=say(f"{name}.axis"),
        header=(say(f"{name}.label"), say("accounts"), say("share")),
        bars=histogram(spread, whole_numbers=whole_numbers),
        marks=quartile_marks(quartiles, written),
        whole=spread.values,
    )


def _years(data: Aggregates) -> Chart:
    first, last = min(data.years), max(data.years)
    most, count = min(data.years.items(), key=lambda pair: (-pair[1], pair[0]))
    return Chart(
        name="years",
        kind="columns",
        subject=say("years.subject"),
        finding=say("years.finding", year=same(str(most)), share=percent(count, data.rows)),
        summary=say("years.summary", first=same(str(first)), last=same(str(last))),
        axis=say("years.axis"),
        header=(say("years.label"), say("accounts"), say("share")),
        bars=tuple(Bar(same(str(year)), data.years[year]) for year in range(first, last + 1)),
        whole=data.rows,
    )


def _types(data: Aggregates) -> Chart:
    found = sorted(
        ((kind, count) for kind, count in data.verified_types.items() if kind),
        key=lambda pair: (-pair[1], pair[0]),
    )
    bars = [
        Bar(say(f"verified.{kind}"), count, "muted" if kind == "none" else "main")
        for kind, count in found
    ]
    if data.verified_types[None]:
        bars.append(Bar(say("not_stated"), data.verified_types[None], "muted"))
    verified = [pair for pair in found if pair[0] != "none"]
    summary = (
        say("verified.summary", type=say(f"verified.{verified[0][0]}"), n=verified[0][1])
        if verified
        else say("verified.nobody")
    )
    return Chart(
        name="verified",
        kind="bars",
        subject=say("verified.subject"),
        finding=say("verified.finding", share=percent(data.verified, data.rows)),
        summary=summary,
        axis=None,
        header=(say("verified.label"), say("accounts"), say("share")),
        bars=tuple(bars),
        whole=data.rows,
    )


def _regions(data: Aggregates) -> Chart:
    found = sorted(
        ((name, count) for name, count in data.regions.items() if name),
        key=lambda pair: (-pair[1], pair[0]),
    )
    bars = [
        Bar(_region(name), count, fallbacks=(say("regions.rank", n=rank),))
        for rank, (name, count) in enumerate(found[:TOP_REGIONS], start=1)
    ]
    rest = sum(count for _, count in found[TOP_REGIONS:]) + data.more_regions
    if rest:
        more = len(found) - TOP_REGIONS
        label = say("regions.rest", n=more) if more > 1 else say("regions.rest_one")
        bars.append(Bar(label, rest, "muted"))
    if data.regions[None]:
        bars.append(Bar(say("not_stated"), data.regions[None], "muted"))
    stated = data.rows - data.regions[None]
    share = percent(sum(count for _, count in found[:3]), stated)
    return Chart(
        name="regions",
        kind="bars",
        subject=say("regions.subject"),
        finding=say(
            "regions.finding",
            region=Text(*map(isolated, bars[0].label)),
            share=percent(found[0][1], data.rows),
        ),
        summary=(
            say("regions.summary", n=len(found), share=share)
            if len(found) > 3
            else say("regions.few", n=len(found))
        ),
        axis=None,
        header=(say("regions.label"), say("accounts"), say("share")),
        bars=tuple(bars),
        whole=data.rows,
    )


def _region(name: str) -> Text:
    shown = plain(name, NAME_WIDTH) or "–"
    return Text(REGIONS.get(name, shown), shown)


def _recency(data: Aggregates) -> Chart:
    bars = [Bar(say(f"recency.{band}"), data.recency[band]) for band in range(len(RECENCY_DAYS))]
    if data.never:
        bars.append(Bar(say("recency.unknown"), data.never, "muted"))
    month = sum(data.recency[: RECENCY_DAYS.index(30)])
    return Chart(
        name="recency",
        kind="bars",
        subject=say("recency.subject"),
        finding=say("recency.finding", share=percent(month, data.rows)),
        summary=say("recency.summary", unknown=data.never),
        axis=None,
        header=(say("recency.label"), say("accounts"), say("share")),
        bars=tuple(bars),
        whole=data.rows,
    )


def _top(data: Aggregates) -> Chart:
    held = sum(account.followers for account in data.top)
    names = [_names(account, rank) for rank, account in enumerate(data.top, start=1)]
    finding = (
        say("top.finding", n=len(names), share=percent(held, data.followers.total))
        if held and len(names) > 1
        else say("top.one" if held else "top.nobody")
    )
    return Chart(
        name="top",
        kind="bars",
        subject=say("top.subject"),
        finding=finding,
        summary=say(
            "top.summary",
            name=same(isolated(names[0][0].en)),
            followers=short(data.top[0].followers),
        ),
        axis=None,
        header=(say("top.label"), say("top.user_id"), say("followers.label")),
        bars=tuple(
            Bar(
                name,
                account.followers,
                fallbacks=tuple(others),
                details=(same(plain(account.user_id, 64)),),
            )
            for (name, *others), account in zip(names, data.top, strict=True)
        ),
    )


def _names(account: Account, rank: int) -> list[Text]:
    """Return the possible names of an account, best first."""
    names = (account.name or "", account.screen_name, account.user_id)
    shown = [plain(name, NAME_WIDTH) for name in names]
    return [*(same(name) for name in shown if name), say("top.account", n=rank)]
