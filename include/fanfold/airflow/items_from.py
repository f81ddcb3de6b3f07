"""Where the items of a run come from: its Params, else the Variable of the DAG, else the DAG file."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import Variable
from airflow.sdk.exceptions import ParamValidationError

from fanfold.airflow.settings import CONNECTION, DEFAULT, IS_LIST, SAMPLE
from fanfold.errors import BadConfiguration, BadInput
from fanfold.messages import ENGINE
from fanfold.uris import check_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from fanfold.messages import Message

_MANUAL = ("manual", "asset_materialization")
"""Types of runs that may use the sample."""


@dataclass(frozen=True, slots=True)
class ItemsFrom:
    """Where the items of a run come from: ``sql`` if set, else ``uri`` if set, else ``items``.

    Attributes:
        items: The list.
        uri: URI of a file, dataset or run.
        sql: A query.
        sql_connection: Airflow connection of the query.
        is_default: Whether they are the DAG's own: those of its Variable or of its file.
        variable: Name of the Variable that has them; empty if they are not from one.
    """

    items: tuple[Any, ...] = ()
    uri: str | None = None
    sql: str | None = None
    sql_connection: str | None = None
    is_default: bool = False
    variable: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there are none."""
        return not (self.items or self.uri or self.sql)

    @property
    def message(self) -> Message:
        """Where they come from, for log and page."""
        if self.variable:
            return ENGINE.message("items.variable", name=self.variable)
        return ENGINE.message("items.dag" if self.is_default else "items.run")


@dataclass(frozen=True, slots=True)
class _Lists:
    """The Params of a DAG that name items: schemas by name, in the order in which they are used."""

    schemas: Mapping[str, Mapping[str, Any]]

    @property
    def listed(self) -> str:
        """The Param with the list."""
        return [*self.schemas][-1]

    @classmethod
    def of(cls, context: Context) -> _Lists:
        declared = context["dag"].params
        schemas = {name: declared.get_param(name).schema for name in declared}
        listed = next((name for name in schemas if IS_LIST in schemas[name]), "items")
        return cls({name: schemas.get(name, {}) for name in ("items_sql", "items_uri", listed)})

    def is_changed(self, name: str, value: Any) -> bool:
        """Whether a value is not the default; the form turns numbers of a list and None into texts."""
        default = self.schemas[name].get(DEFAULT)
        return bool(_texts(value or None) != _texts(default or None))

    def chosen(self, name: str, value: Any, **facts: Any) -> ItemsFrom:
        """Return the items of one of the Params.

        Raises:
            BadInput: The value is not a valid URI.
        """
        if name == "items_sql":
            connection = self.schemas[name].get(CONNECTION)
            return ItemsFrom(sql=value, sql_connection=connection, **facts)
        if name == "items_uri":
            check_uri(value, facts.get("variable") or name)
            return ItemsFrom(uri=value, **facts)
        return ItemsFrom(tuple(value or ()), **facts)


def items_of(context: Context) -> ItemsFrom:
    """Return where the items of the current run come from.

    A Param that differs from its default takes precedence over the Variable ``<dag_id>_items``, and
    that over the defaults.

    Raises:
        BadInput: Two Params differ from their default; the run has a Param that the DAG does not have
            (its default would be used instead); a URI is invalid.
        BadConfiguration: The Variable has no list of items; or it is not set, the default is a sample, and
            the run was not triggered manually.
    """
    params, declared = context["params"], context["dag"].params
    if unknown := sorted(set(params) - set(declared)):
        raise BadInput(
            f"There is no Param {', '.join(unknown)}; the DAG has {', '.join(sorted(declared))}. Correct "
            "it and trigger a new run."
        )
    lists = _Lists.of(context)
    values = {name: params.get(name) for name in lists.schemas}
    changed = [name for name in values if lists.is_changed(name, values[name])]
    given = [name for name in changed if values[name]]
    if len(given) > 1:
        raise BadInput(
            f"The items are given twice, as {' and '.join(given)}: use one of these Params, leave "
            "the others empty, and trigger a new run."
        )
    if given:
        return lists.chosen(given[0], values[given[0]])
    variable = f"{context['dag'].dag_id}_items"
    if not changed and (found := _of_variable(variable, context, lists)):
        return found
    name = next((name for name in values if values[name]), lists.listed)
    is_default = not lists.is_changed(name, values[name])
    if is_default and lists.schemas[name].get(SAMPLE):
        _check_sample(context, variable)
    return lists.chosen(name, values[name], is_default=is_default)


def _of_variable(name: str, context: Context, lists: _Lists) -> ItemsFrom | None:
    """Return the items of the Variable, whose value is checked like that of a Param; None without one."""
    text = (Variable.get(name, default=None) or "").strip()
    if not text:
        return None
    declared = context["dag"].params
    params = {each: declared.get_param(each) for each in lists.schemas if each in declared}
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if not isinstance(value, dict):
        value = {"items_uri" if isinstance(value, str) else lists.listed: value}
    try:
        ((param, chosen),) = value.items()
        copy.copy(params[param]).resolve(chosen)
        return lists.chosen(param, chosen, is_default=True, variable=name)
    except ParamValidationError as error:
        reason = str(getattr(error.args[0], "message", error.args[0]))  # not the whole schema
    except BadInput as error:
        raise BadConfiguration(
            f'Variable {error} Or a JSON list: ["a", "b"]. Correct it, then clear the task.'
        ) from None
    except (ValueError, KeyError):
        reason = f"it has {', '.join(value) or 'no value'}"
    raise BadConfiguration(
        f"The Variable {name} does not name items ({reason}). Set it to a URI, to a JSON list "
        f'(["a", "b"]), or to a JSON object with one of {", ".join(params)}; then clear the task.'
    )


def _check_sample(context: Context, variable: str) -> None:
    """Raise unless the run was triggered manually, which accepts the sample."""
    if context["dag_run"].run_type in _MANUAL:
        return
    raise BadConfiguration(
        "The list of the DAG file is only a sample, which only manually triggered runs use. Set the Airflow "
        f"Variable {variable}, or AIRFLOW_VAR_{variable.upper()} in the environment of the workers, to the "
        "URI of an items file, a dataset or a run, or to a JSON list; then clear the task."
    )


def _texts(value: Any) -> Any:
    return list(map(str, value)) if isinstance(value, list) else value


def has_own_items(context: Context) -> bool:
    """Return whether the Params of the current run name other items than those of the DAG."""
    lists, params = _Lists.of(context), context["params"]
    return any(lists.is_changed(name, params.get(name)) for name in lists.schemas)
