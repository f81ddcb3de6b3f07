"""Ask before a run is published that exceeds its tolerance, with Airflow's human-in-the-loop approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import conf

from fanfold import formats
from fanfold.airflow import consolidation, metrics, settings
from fanfold.airflow.links import run_path
from fanfold.airflow.notifications import Notice, State, send_once
from fanfold.airflow.task_errors import recorded
from fanfold.errors import ToleranceExceeded

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.sdk import Context

APPROVE, REJECT = "Approve", "Reject"


class Approval(HITLOperator):
    """Succeed if a run is within its tolerance; else ask whether it is published all the same.

    While it waits, in the state ``awaiting_input``, it occupies no worker slot.
    """

    def __init__(self, *, within: timedelta, **kwargs: Any) -> None:
        """Set up the question.

        Args:
            within: Time for the answer; without one, it is *Reject*.
            **kwargs: Those of each operator.
        """
        self.within = within
        super().__init__(
            subject="Publish all the same?",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            response_timeout=within,
            **kwargs,
        )

    def execute(self, context: Context) -> None:
        """Accept a run that is within its tolerance; else ask and wait.

        Raises:
            TaskAwaitingInput: It is not.
        """
        with recorded():
            exceeded = consolidation.exceeded(context)
            if not exceeded:
                consolidation.accept(context)
                return
        time = formats.duration(self.within.total_seconds())
        effect = (
            f"{APPROVE} publishes the dataset without them. {REJECT}, or no answer within {time}, fails "
            "the run: nothing is published, and what was fetched is kept for a redrive."
        )
        run = settings.identity(context)
        self.subject = f"Publish this run of {run.dag_id} all the same?"
        texts, links = (*map(str, exceeded), effect), _links(run.dag_id, run.run_id, self.task_id)
        items = [f"[{name}]({url})" for name, url in links[1:]]
        self.body = "\n\n".join([*map(formats.markdown, texts), *items])
        notice = Notice(State.WAITING_APPROVAL, self.subject, texts, links=links)
        # A cleared run asks again.
        marker = f"{State.WAITING_APPROVAL} {context['ti'].try_number}"
        send_once(notice, settings.workspace_of(context).root / "notices" / marker)
        super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        """Accept the run, or fail as ``consolidate`` does without an approval.

        Raises:
            ToleranceExceeded: The answer was *Reject*, or there was none in time.
        """
        with recorded():
            answer = super().execute_complete(context, event)
            user = answer["responded_by_user"]
            who = f"by {user['name']}" if user else "because there was no answer in time"
            if answer["chosen_options"] == [APPROVE]:
                self.log.info("Approved %s.", who)
                consolidation.accept(context)
                return
            self.log.warning("Rejected %s.", who)
            metrics.judged(context["dag"].dag_id, metrics.REFUSED)
            consolidation.check_tolerance(context)
            # Its limits were raised while it waited.
            raise ToleranceExceeded(f"Publishing was rejected {who}.")


def _links(dag_id: str, run_id: str, task_id: str) -> tuple[tuple[str, str], ...]:
    """Return links to the question and to the run page; none without ``[api] base_url``."""
    root = conf.get("api", "base_url", fallback="").rstrip("/")
    if not root:
        return ()
    question = f"dags/{quote(dag_id)}/runs/{quote(run_id)}/tasks/{task_id}/required_actions"
    return ("Answer", f"{root}/{question}"), ("Items", f"{root}/{run_path(dag_id, run_id)}")
