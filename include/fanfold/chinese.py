"""What the pipeline says of items, in Chinese, for people who read the page and the report in it.

Logs and files hold the English sentence alone: it is what is searched for, and what groups items by
reason. A sentence that is not known here stays as it is.
"""

from __future__ import annotations

import re

_PHRASES: tuple[tuple[str, str], ...] = (
    # Weibo
    ("Weibo tells an error whose code is none", "微博给出的错误没有有效的错误码"),
    (r"\bWeibo (\d+): ", r"微博 \1："),
    ("there is no such user", "没有这个用户"),
    ("there is no user (?=[^ ]+$)", "没有用户 "),
    ("Weibo is busy", "微博繁忙"),
    ("the access token is refused", "访问令牌被拒绝"),
    ("this address or application may not ask", "此地址或应用无权请求"),
    ("the request is wrong", "请求有误"),
    ("an error that its pages do not list", "文档没有列出的错误"),
    (r"\. Authorise the application anew \(there is no refresh\)", "。请重新授权应用（不能刷新）"),
    (
        r" and put the new token into the password of the connection\.",
        "，再把新令牌填入连接的密码。",
    ),
    (r"\. Ask for the permission in the application's console\.", "。请在应用的控制台申请权限。"),
    # Mastodon
    ("there is no account (?=[^ ]+$)", "没有账号 "),
    ("the answer is about another account", "回答的是另一个账号"),
    ("Mastodon refuses the request", "Mastodon 拒绝了请求"),
    (r"Mastodon refuses the token \(HTTP (\d+)\)\. ", r"Mastodon 拒绝了令牌（HTTP \1）。"),
    ("Put a valid token into the password of the connection", "请在连接的密码里填入有效的令牌"),
    (r", or none where the server allows it\.", "；服务器允许时也可以不填。"),
    ("Mastodon's quota is spent", "Mastodon 的配额已用完"),
    # Quotas
    ("the quota is spent, by the answer's headers", "配额已用完（回答的头部所述）"),
    ("the quota is spent", "配额已用完"),
    (
        r"the limit of ([\d.]+) requests per hour is used up",
        r"每小时 \1 次请求的额度已用完",
    ),
    ("Requests are paused: ", "请求已暂停："),
    (r"^Requests of ([\w-]+) are paused: ", r"\1 的请求已暂停："),
    # HTTP
    (
        "a redirect, which is not followed: the connection's host must be the API's own",
        "这是重定向，不予跟随：连接的主机必须是接口自己的",
    ),
    ("an answer that is not JSON", "回答不是 JSON"),
    (r"an answer that is nested deeper than (\d+) levels", r"回答的嵌套超过 \1 层"),
    (r"an answer with ([\w-]+), which JSON does not have", r"回答含有 \1，JSON 里没有它"),
    ("an answer in which a name stands twice in an object", "回答的某个对象里有重复的名称"),
    ("an answer of no known form", "回答的形式未知"),
    (r"the answer is larger than (\d+) bytes", r"回答超过 \1 字节"),
    ("the answer's compression is broken", "回答的压缩已损坏"),
    ("the answer was cut off", "回答被截断"),
    ("no answer in time", "没有及时得到回答"),
    ("no connection in time", "没有及时建立连接"),
    ("the connection failed", "连接失败"),
    ("the TLS certificate is not trusted", "TLS 证书不受信任"),
    ("the proxy refuses", "代理拒绝连接"),
    # The pipeline itself
    (
        "it was not fetched: the fetch of its batch broke off",
        "没有获取：它所在批次的 `fetch` 中断了",
    ),
    (
        "it was fetched, but not processed: see the `process` task of its batch",
        "已获取但没有处理：见它所在批次的 `process` 任务",
    ),
)
_RULES: tuple[tuple[str, str], ...] = (
    ("not_nullable", "不可为空"),
    ("is text", "是文本"),
    ("is a code", "是代码"),
    ("is a date", "是日期"),
    ("is true or false", "是真或假"),
    (r"is a whole number of (\d+) bits", r"是 \1 位整数"),
    ("is the item asked for, (.*)", r"是所请求的 \1"),
)
_COMPILED = tuple((re.compile(pattern), chinese) for pattern, chinese in _PHRASES)
_COMPILED_RULES = tuple((re.compile(pattern), chinese) for pattern, chinese in _RULES)


def reason_in_chinese(reason: str) -> str:
    """Return the reason of an item that is ``missing`` or ``failed``, or why a run waits, in Chinese."""
    for pattern, chinese in _COMPILED:
        reason = pattern.sub(chinese, reason)
    return reason


def rule_in_chinese(rule: str) -> str:
    """Return a rule of the contract in Chinese; what pandera calls ``in_range(0, 9)`` stays so."""
    for pattern, chinese in _COMPILED_RULES:
        if found := pattern.fullmatch(rule):
            return found.expand(chinese)
    return rule


def broken_in_chinese(column: str, value: str | None, rule: str) -> str:
    """Return why an item is ``invalid``, in Chinese; value and column are the source's own."""
    return f"{column}：{value!r} 不符合规则“{rule_in_chinese(rule)}”"
