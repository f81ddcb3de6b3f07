"""Where notices go, by the type of the connection: mail, Slack, or a service that Apprise knows.

Airflow's notifiers render their fields as templates: text of a source could read Variables and
connections. Hence ``notify`` is called, which only sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.airflow.notifications import CONNECTION, State, text
from fanfold.errors import BadConfiguration, SinkUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Connection

    from fanfold.airflow.notifications import Notice

_TIMEOUT_S = 10
"""Airflow ends the process that runs a DAG's callbacks after 50 s ([dag_processor] dag_file_processor_timeout)."""


def send(connection: Connection, notice: Notice) -> None:
    """Send a notice.

    Raises:
        BadConfiguration: The connection has another type, no receivers, or its provider is not installed.
        Exception: The server did not accept it.
    """
    channel = CHANNELS.get(connection.conn_type or "")
    if channel is None:
        raise BadConfiguration(
            f"its type is {connection.conn_type!r}; use one of {', '.join(CHANNELS)}"
        )
    try:
        channel(connection, notice)
    except ImportError as error:
        raise BadConfiguration(
            f"{error.name} is not installed; install fanfold[notify] on all components"
        ) from error


def _mail(connection: Connection, notice: Notice) -> None:
    from airflow.providers.smtp.hooks.smtp import SmtpHook
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    class OneTry(SmtpHook):
        smtp_retry_limit = 0
        timeout = _TIMEOUT_S

    receivers = connection.extra_dejson.get("to")
    if not receivers:
        raise BadConfiguration('there is no receiver; set {"to": "team@example.com"} in its extra')
    notifier = SmtpNotifier(
        receivers,
        connection.extra_dejson.get("from_email") or connection.login,
        " ".join(notice.title.split()),
        text.html(notice),
        list(map(str, notice.pictures)),
        smtp_conn_id=CONNECTION,
    )
    notifier.hook = OneTry(CONNECTION)
    notifier.notify({})


def _slack(_: Connection, notice: Notice) -> None:
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    SlackWebhookNotifier(
        slack_webhook_conn_id=CONNECTION, text=text.slack(notice), timeout=_TIMEOUT_S
    ).notify({})  # type: ignore[no-untyped-call]


def _apprise(connection: Connection, notice: Notice) -> None:
    import apprise
    from airflow.providers.apprise.hooks.apprise import AppriseHook

    types = apprise.NotifyType
    type_ = {
        State.COMPLETE: types.SUCCESS,
        State.FAILED: types.FAILURE,
        State.EMPTY: types.INFO,
        State.MAINTENANCE: types.INFO,
    }.get(notice.state, types.WARNING)
    services = apprise.Apprise()
    # Airflow's notifier does not tell whether a service accepted it.
    AppriseHook(CONNECTION).set_config_from_conn(connection, services)
    sent = services.notify(
        text.plain(notice), notice.title, type_, attach=list(map(str, notice.pictures)) or None
    )
    if not sent:
        raise SinkUnavailable("a service of Apprise refused it or did not answer")


CHANNELS: dict[str, Callable[[Any, Notice], None]] = {
    "smtp": _mail,
    "slackwebhook": _slack,
    "apprise": _apprise,
}
