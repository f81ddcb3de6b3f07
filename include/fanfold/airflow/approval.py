"""Ask before a run is published that exceeds its tolerance, with Airflow's human-in-the-loop approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator

from fanfold import formats
from fanfold.airflow import consolidation, metrics, settings
from fanfold.airflow.notifications import Notice, State, send_once
from fanfold.airflow.notifications.summary import page_link
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
        run, workspace = settings.identity(context), settings.workspace_of(context)
        self.subject = f"Publish this run of {run.dag_id} all the same?"
        texts = (*map(str, exceeded), effect)
        name, page = page_link(run.dag_id, run.run_id)
        self.body = "\n\n".join([*map(formats.markdown, texts), f"[{name}]({page})"])
        question = f"{page.partition('/plugin/')[0]}/tasks/{self.task_id}/required_actions"
        links = (("Answer", question), (name, page))
        notice = Notice(State.WAITING_APPROVAL, self.subject, texts, links=links)
        # A run that was cleared asks again.
        marker = f"{State.WAITING_APPROVAL.value.replace(' ', '-')}-{context['ti'].try_number}"
        send_once(notice, workspace.notices / marker)
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
