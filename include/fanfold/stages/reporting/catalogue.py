"""Every sentence of the report, in English and in Simplified Chinese.

One entry holds both, so that none can be in one language only. ``{names}`` in braces are values.
"""

from __future__ import annotations

CATALOGUE: dict[str, tuple[str, str]] = {
    # The page
    "title": ("Report: {dag}", "报告：{dag}"),
    "language": ("Language", "语言"),
    "overview": ("At a glance", "概览"),
    "overview.items": ("Items of this run", "本次运行的条目"),
    "overview.dataset": ("The dataset", "数据集"),
    "overview.run": ("The run", "运行信息"),
    "charts": ("Charts", "图表"),
    "failures": ("What is not in the dataset", "未进入数据集的条目"),
    "failures.none": (
        "Every planned item is in the dataset.",
        "所有计划的条目都已进入数据集。",
    ),
    "failures.intro": (
        "{n} of {planned} planned items, by reason. The list with every item is failed.jsonl.",
        "计划的 {planned} 个条目中有 {n} 个，按原因列出。完整清单见 failed.jsonl。",
    ),
    "failures.rest": ("Other reasons", "其他原因"),
    "failures.count": ("Items", "条目数"),
    "failures.reason": ("Reason", "原因"),
    "failures.outcome": ("Outcome", "结果"),
    "failures.attempts": ("Requests an item", "每条目请求数"),
    "failures.examples": ("Examples", "示例"),
    "failures.rule": ("{column} breaks the rule {rule}", "{column} 违反规则 {rule}"),
    "left_out": ("Charts left out", "未绘制的图表"),
    "table": ("Table: {subject}", "数据表：{subject}"),
    "foot": ("{dag} · run of {date}", "{dag} · {date} 的运行"),
    "footer": (
        "Made from the dataset and the manifest of this run. Times are in UTC.",
        "根据本次运行的数据集与清单生成。时间均为 UTC。",
    ),
    # Tiles
    "planned": ("Planned", "计划"),
    "rows": ("Rows", "行数"),
    "median_followers": ("Median followers", "粉丝数中位数"),
    "verified_accounts": ("Verified", "已认证"),
    "requests": ("Requests", "请求数"),
    "duration": ("Duration", "耗时"),
    "forecast": ("Forecast", "预计耗时"),
    "forecast.QUOTA": ("by the quota", "按配额"),
    "forecast.EARLIER_RUNS": ("by earlier runs", "按以往运行"),
    "forecast.requests": ("foretold: {n}", "预计：{n}"),
    "run_id": ("Run", "运行"),
    "logical_date": ("Logical date", "逻辑日期"),
    "started": ("Started", "开始"),
    "finished": ("Finished", "结束"),
    "status": ("Status", "状态"),
    "status.complete": ("Complete", "完整"),
    "status.partial": ("Partial", "部分完成"),
    "status.empty": ("Empty", "空"),
    "seconds": ("{n} s", "{n} 秒"),
    "minutes": ("{m} min {s} s", "{m} 分 {s} 秒"),
    "hours": ("{h} h {m} min", "{h} 小时 {m} 分"),
    # Outcomes
    "ok": ("OK", "成功"),
    "missing": ("Missing", "不存在"),
    "invalid": ("Invalid", "不合规"),
    "failed": ("Failed", "失败"),
    "ok.means": ("in the dataset", "已进入数据集"),
    "missing.means": ("the source has no such item", "数据源中没有该条目"),
    "invalid.means": ("breaks the contract", "违反数据契约"),
    "failed.means": ("could not be fetched", "未能获取"),
    "outcomes.subject": ("Outcomes", "处理结果"),
    "outcomes.finding": (
        "{ok} of {planned} items are in the dataset ({share})",
        "{planned} 个条目中有 {ok} 个进入数据集（{share}）",
    ),
    "outcomes.none": ("The list of this run was empty", "本次运行的列表为空"),
    "outcomes.label": ("Outcome", "结果"),
    "items": ("Items", "条目数"),
    "accounts": ("Accounts", "账号数"),
    "share": ("Share", "占比"),
    # Followers
    "followers.subject": ("Followers", "粉丝数"),
    "followers.finding": (
        "Median account: {median} followers",
        "粉丝数的中位数为 {median}",
    ),
    "followers.summary": (
        "A quarter has {q1} or fewer, a quarter {q3} or more; the most followed has {most}.",
        "四分之一的账号不多于 {q1}，四分之一不少于 {q3}；最多的有 {most}。",
    ),
    "followers.axis": (
        "Followers (log scale)",
        "粉丝数（对数坐标）",
    ),
    "followers.label": ("Followers", "粉丝数"),
    "median": ("Median {value}", "中位数 {value}"),
    "first_quartile": ("Q1 {value}", "下四分位 {value}"),
    "third_quartile": ("Q3 {value}", "上四分位 {value}"),
    "range": ("{low} to {high}", "{low} 至 {high}"),
    "range.under": ("under {high}", "低于 {high}"),
    "range.over": ("{low} or more", "{low} 及以上"),
    "range.rate": (
        "{low} to under {high}",
        "{low} 至不足 {high}",
    ),
    # Years
    "years.subject": ("Accounts by year of creation", "账号创建年份"),
    "years.finding": (
        "Most frequent year: {year}, with {share} of the accounts",
        "{year} 年创建的账号最多，占 {share}",
    ),
    "years.summary": (
        "The oldest account is from {first}, the newest from {last}.",
        "最早的账号创建于 {first} 年，最新的创建于 {last} 年。",
    ),
    "years.label": ("Year", "年份"),
    "years.axis": ("Year in which the account was opened (UTC)", "账号创建的年份（UTC）"),
    # Verified types
    "verified.subject": ("Verified types", "认证类型"),
    "verified.finding": (
        "{share} of the accounts are verified",
        "{share} 的账号已认证",
    ),
    "verified.summary": (
        "Most frequent type, apart from those not verified: {type} ({n}).",
        "除未认证外最多的类型：{type}（{n} 个）。",
    ),
    "verified.nobody": ("Nobody is verified.", "没有已认证的账号。"),
    "verified.label": ("Type", "类型"),
    "verified.none": ("Not verified", "未认证"),
    "verified.person": ("Person", "个人"),
    "verified.government": ("Government", "政府"),
    "verified.company": ("Company", "企业"),
    "verified.media": ("Media", "媒体"),
    "verified.school": ("School", "校园"),
    "verified.website": ("Website", "网站"),
    "verified.application": ("Application", "应用"),
    "verified.organisation": ("Organisation", "机构团体"),
    "verified.talent": ("Talent", "达人"),
    "verified.deceased": ("Deceased", "已故"),
    "verified.other": ("Other type", "其他类型"),
    "not_stated": ("Not stated", "未填写"),
    # Regions
    "regions.subject": ("Regions", "地区"),
    "regions.finding": (
        "Most frequent region: {region}, with {share} of the accounts",
        "最多的地区：{region}，占账号的 {share}",
    ),
    "regions.summary": (
        "{n} regions occur; the first three hold {share} of the accounts that state one.",
        "共出现 {n} 个地区；前三个占填写了地区的账号的 {share}。",
    ),
    "regions.few": (
        "Regions that occur: {n}.",
        "出现的地区数：{n}。",
    ),
    "regions.label": ("Region", "地区"),
    "regions.rest": ("{n} more regions", "其余 {n} 个地区"),
    "regions.rest_one": ("1 more region", "其余 1 个地区"),
    "regions.rank": ("Region no. {n}", "第 {n} 个地区"),
    # Activity
    "activity.subject": ("Posts a day", "日均发帖"),
    "activity.finding": (
        "Median account: {median} posts a day",
        "日均发帖数的中位数为 {median}",
    ),
    "activity.summary": (
        "A quarter posts {q1} times or less, a quarter {q3} times or more; {never} never posted.",
        "四分之一的账号不多于 {q1} 次，四分之一不少于 {q3} 次；{never} 个从未发帖。",
    ),
    "activity.axis": (
        "Posts a day since the account was opened (log scale)",
        "账号创建以来的日均发帖数（对数坐标）",
    ),
    "activity.label": ("Posts a day", "日均发帖数"),
    # Last post
    "recency.subject": ("Last post", "最近一次发帖"),
    "recency.finding": (
        "{share} of the accounts posted in the last 30 days",
        "{share} 的账号在最近 30 天内发过帖",
    ),
    "recency.summary": (
        "Days before the logical date; for {unknown} accounts the source shows no last post.",
        "距逻辑日期的天数；有 {unknown} 个账号的数据源未给出最近一次发帖。",
    ),
    "recency.label": ("Last post", "最近一次发帖"),
    "recency.0": ("Under a day ago", "不到 1 天"),
    "recency.1": ("1 to 6 days", "1 至 6 天"),
    "recency.2": ("7 to 29 days", "7 至 29 天"),
    "recency.3": ("30 to 89 days", "30 至 89 天"),
    "recency.4": ("90 to 364 days", "90 至 364 天"),
    "recency.5": ("365 days or more", "365 天及以上"),
    "recency.unknown": ("No post shown", "无记录"),
    # Top accounts
    "top.subject": ("Most followed accounts", "粉丝最多的账号"),
    "top.finding": (
        "The top {n} hold {share} of all followers",
        "前 {n} 个账号拥有全部粉丝的 {share}",
    ),
    "top.nobody": ("No account has a follower", "没有账号有粉丝"),
    "top.summary": (
        "In the lead: {name} with {followers} followers.",
        "居首：{name}，粉丝 {followers}。",
    ),
    "top.one": (
        "The dataset has a single account",
        "数据集只有一个账号",
    ),
    "top.label": ("Account", "账号"),
    "top.user_id": ("User id", "用户 ID"),
    "top.account": ("Account no. {n}", "第 {n} 名账号"),
    # Charts without data
    "empty.rows": (
        "{subject}: the dataset has no rows.",
        "{subject}：数据集没有任何行。",
    ),
    "empty.column": (
        "{subject}: the source does not say.",
        "{subject}：数据源没有这项数据。",
    ),
}
