"""A notice as plain text, as HTML for mail, and in Slack's markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fanfold.airflow.notifications import Notice

_HTML = """\
<div style="font:15px/1.5 system-ui,sans-serif;color:#222;max-width:44em">
<h2 style="font-size:19px;margin:0 0 12px">{{ notice.title }}</h2>
{%- for each in notice.paragraphs %}
<p style="margin:0 0 6px;white-space:pre-line">{{ each }}</p>
{%- endfor %}
{%- if notice.facts %}
<table style="border-collapse:collapse;margin:12px 0;font-size:14px">
{%- for name, value in notice.facts %}
<tr><td style="padding:3px 16px 3px 0;color:#666;vertical-align:top">{{ name }}</td>
<td style="padding:3px 0">{{ value }}</td></tr>
{%- endfor %}
</table>
{%- endif %}
<p style="margin:12px 0">
{%- for text, url in notice.links %}
<a href="{{ url }}" style="margin-right:18px">{{ text }}</a>
{%- endfor %}
</p>
{%- for picture in notice.pictures %}
<p><img src="cid:{{ picture.name }}" alt="" style="max-width:100%"></p>
{%- endfor %}
</div>
"""


def plain(notice: Notice) -> str:
    """Return all but the title as lines of text."""
    facts = [f"{name}: {value}" for name, value in notice.facts]
    links = [f"{text}: {url}" for text, url in notice.links]
    blocks = (notice.paragraphs, facts, links)
    return "\n\n".join("\n".join(block) for block in blocks if block)


def html(notice: Notice) -> str:
    """Return the notice as HTML; pictures are the attachments with their names as Content-ID."""
    from jinja2 import Environment

    return Environment(autoescape=True).from_string(_HTML).render(notice=notice)


def slack(notice: Notice) -> str:
    """Return the notice in Slack's markup, in which nothing of the notice is a command or a mention.

    Source: https://docs.slack.dev/messaging/formatting-message-text, "Escaping text".
    """
    facts = [f"{name}: {value}" for name, value in notice.facts]
    lines = [_escaped("\n".join(block)) for block in (notice.paragraphs, facts) if block]
    links = " · ".join(f"<{_escaped(url)}|{_escaped(text)}>" for text, url in notice.links)
    return "\n\n".join(filter(None, [f"*{_escaped(notice.title)}*", *lines, links]))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
