"""The fetch progress of a batch: where its items come from."""

from fanfold.model import Outcome, Status
from fanfold.stages.fetching.progress import ProgressWriter
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import places_of


def test_the_places_of_all_fetches_are_kept_as_long_as_their_items(tmp_path):
    batch = Workspace(tmp_path).batch(0)
    first, second = (Outcome(key, Status.OK) for key in "ab")
    assert places_of(batch) == ()
    ProgressWriter(batch, 2, {}, ["a", "b"], ["https://sample.example"])
    ProgressWriter(batch, 2, {"a": first}, ["b"], ["https://api.example"])
    both = ("https://sample.example", "https://api.example")
    assert places_of(batch) == both
    # Nothing is left to fetch.
    ProgressWriter(batch, 2, {"a": first, "b": second}, [], ["https://other.example"])
    assert places_of(batch) == both
    # All parts were made by another version of the source.
    ProgressWriter(batch, 2, {}, ["a", "b"], ["https://api.example"])
    assert places_of(batch) == both[1:]
