"""The model of account segments: segments by k-means, unusual accounts by an isolation forest.

The same accounts give the same result, whatever their order: they are sorted by key, seeds are fixed, one
thread computes (sums of several threads are added in the order in which these end), and scaled values and
scores are rounded. Another version of a library, or a processor for which it has other code, may still move
the last digits, and with them an account between two segments: the model card names the versions.

scikit-learn takes 2 s to import, so only the folds do.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


class Feature(NamedTuple):
    """A feature: log10(1 + count).

    Attributes:
        name: Its name; the column with the logarithm is ``log_<name>``.
        count: The column with the count.
        more, fewer: What a segment whose median is above or below that of all accounts is called, in English and Chinese.
    """

    name: str
    count: str
    more: tuple[str, str]
    fewer: tuple[str, str]


FEATURES = (
    Feature(
        "followers", "followers_count", ("more followers", "粉丝较多"), ("fewer followers", "粉丝较少")
    ),
    Feature("friends", "friends_count", ("follow more", "关注较多"), ("follow fewer", "关注较少")),
    Feature("statuses", "statuses_count", ("more posts", "发帖较多"), ("fewer posts", "发帖较少")),
    Feature(
        "favourites", "favourites_count",
        ("more favourites", "收藏较多"), ("fewer favourites", "收藏较少"),
    ),
    Feature(
        "mutual", "mutual_followers_count",
        ("more mutual followers", "互粉较多"), ("fewer mutual followers", "互粉较少"),
    ),
)  # fmt: skip
SEED = 0
LEAST_ACCOUNTS = 30
"""With fewer there is one segment, and none is unusual."""
MOST_SEGMENTS = 8
SMALLEST_SHARE = 0.01
"""Of the accounts in each segment; k-means would give a few celebrities a segment of their own."""
STARTS = 10
SAMPLE = 2000
"""Accounts of the silhouette, evenly spaced in the order of their keys; its time grows with the square."""
TREES = 200
UNUSUAL = 0.6
"""Score from which an account is unusual. Ordinary ones have less than 0.5. Source: Liu, Ting, Zhou,
"Isolation Forest", ICDM 2008."""
NAMED_FROM = 0.15
"""Interquartile ranges between the medians of segment and of all accounts from which it gets a name."""
DIGITS = 6
_KEY = ("source", "server", "user_id")
_DATA = ("profiles_run", "profiles_sha256", "profiles_as_of")
_INPUT = pa.schema(
    [(name, pa.string()) for name in _KEY]
    + [(each.count, pa.int64()) for each in FEATURES]
    + [(f"log_{each.name}", pa.float64()) for each in FEATURES]
    + [(name, pa.string()) for name in _DATA]
)
_SEGMENTS = pa.schema(
    {
        **dict.fromkeys(_KEY, pa.string()),
        "segment": pa.int64(),
        "segment_name": pa.string(),
        "segment_name_zh": pa.string(),
        "distance": pa.float64(),
        "unusual_score": pa.float64(),
        "is_unusual": pa.bool_(),
        "unusual_feature": pa.string(),
        "unusual_value": pa.int64(),
        "unusual_median": pa.float64(),
        "unusual_deviation": pa.float64(),
    }
)
_CARD = pa.schema(
    {
        "position": pa.int64(),
        "section": pa.string(),
        "name": pa.string(),
        "value": pa.string(),
        "number": pa.float64(),
    }
)


def account_segments(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Return segment and score of each account."""
    return _fitted(_accounts(batches)).segments


def model_card(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Return what the model was made of, and how good it is: a row an entry."""
    return _fitted(_accounts(batches)).card


class _Result(NamedTuple):
    segments: pa.Table
    card: pa.Table


def _accounts(batches: Iterable[pa.RecordBatch]) -> bytes:
    """Return the columns of the model, sorted by key, as the bytes of an Arrow stream."""
    needed = [pa.Table.from_batches([batch]).select(_INPUT.names).cast(_INPUT) for batch in batches]
    table = pa.concat_tables(needed) if needed else _INPUT.empty_table()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _INPUT) as stream:
        stream.write_table(table.sort_by([(name, "ascending") for name in _KEY]).combine_chunks())
    content: bytes = sink.getvalue().to_pybytes()
    return content


@functools.lru_cache(maxsize=1)  # for both folds
def _fitted(accounts: bytes) -> _Result:
    model = _Model(pa.ipc.open_stream(accounts).read_all())
    model.fit()
    return _Result(model.as_segments(), model.as_card())


@dataclass
class _Model:
    """The model of some accounts, sorted by key.

    Attributes:
        table: The accounts.
        used: Features that have values which differ.
        left_out: Why the others are not used, by name.
        counts, scaled: Of the used features: counts (NaN for none), and logarithms without nulls, less
            their median, divided by their interquartile range. One row an account.
        silhouettes: By number of segments.
        labels: Segment of each account, from 0.
        centres: In scaled values, one row a segment.
        scores: Of the isolation forest, from 0 to 1; NaN without one.
    """

    table: pa.Table
    used: list[Feature] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    silhouettes: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in FEATURES:
            known = self._column(f"log_{each.name}")
            known = known[~np.isnan(known)]
            if not len(known):
                self.left_out[each.name] = "no account has a value"
            elif known.min() == known.max():
                self.left_out[each.name] = "all accounts have the same value"
            else:
                self.used.append(each)
        size = len(self.table)
        self.counts = self._matrix([each.count for each in self.used])
        logs = self._matrix([f"log_{each.name}" for each in self.used])
        self.medians = np.nanmedian(logs, axis=0) if self.used else np.zeros(0)
        self.scaled = self._scaled(np.where(np.isnan(logs), self.medians, logs))
        self.labels: NDArray[Any] = np.zeros(size, int)
        self.centres: NDArray[Any] = np.zeros((1, len(self.used)))
        self.scores: NDArray[Any] = np.full(size, np.nan)
        self.has_model = bool(self.used) and size >= LEAST_ACCOUNTS

    def _column(self, name: str) -> NDArray[Any]:
        values: NDArray[Any] = self.table[name].to_numpy().astype(float)
        return values

    def _matrix(self, names: list[str]) -> NDArray[Any]:
        columns = [self._column(name) for name in names]
        return np.column_stack(columns) if columns else np.zeros((len(self.table), 0))

    def _scaled(self, logs: NDArray[Any]) -> NDArray[Any]:
        if not self.used:
            self.ranges = np.zeros(0)
            return logs
        from sklearn.preprocessing import RobustScaler

        scaler = RobustScaler()
        scaled: NDArray[Any] = np.round(scaler.fit_transform(logs), DIGITS)
        self.ranges = scaler.scale_
        return scaled

    def fit(self) -> None:
        """Find segments and unusual accounts, in one thread."""
        from threadpoolctl import threadpool_limits

        if self.has_model:
            with threadpool_limits(limits=1):
                self._find_segments()
                self._find_unusual()

    def _find_segments(self) -> None:
        """Choose the number of segments with the best silhouette, and number them by followers."""
        from sklearn.cluster import KMeans
        from sklearn.metrics import silhouette_score

        size = len(self.scaled)
        sample = np.unique(np.linspace(0, size - 1, min(size, SAMPLE)).astype(int))
        distinct = len(np.unique(self.scaled, axis=0))
        best = -1.0
        for number in range(2, min(MOST_SEGMENTS, distinct) + 1):
            found = KMeans(number, n_init=STARTS, random_state=SEED).fit(self.scaled)
            sizes = np.bincount(found.labels_, minlength=number)
            if sizes.min() < SMALLEST_SHARE * size or len(set(found.labels_[sample])) < 2:
                continue
            score = round(float(silhouette_score(self.scaled[sample], found.labels_[sample])), 4)
            self.silhouettes[number] = score
            if score > best:
                best = score
                self.labels, self.centres = found.labels_, found.cluster_centers_
        followers = self._column(FEATURES[0].count)
        members = [self.labels == segment for segment in range(len(self.centres))]
        order = sorted(
            range(len(members)),
            key=lambda each: (
                -_median(followers[members[each]]),
                -members[each].sum(),
                *self.centres[each],
            ),
        )
        self.labels = np.argsort(order)[self.labels]
        self.centres = self.centres[order]

    def _find_unusual(self) -> None:
        """Score the accounts: the fewer random cuts isolate one, the nearer its score is to 1."""
        from sklearn.ensemble import IsolationForest

        self.forest = IsolationForest(
            n_estimators=TREES, max_samples=min(256, len(self.scaled)), random_state=SEED
        ).fit(self.scaled)
        self.scores = self._scored(self.scaled)

    def _scored(self, scaled: NDArray[Any]) -> NDArray[Any]:
        return np.round(-self.forest.score_samples(scaled), DIGITS)

    @property
    def unusual(self) -> NDArray[Any]:
        """Whether each account is unusual."""
        return np.nan_to_num(self.scores) >= UNUSUAL

    def _reasons(self) -> dict[int, int]:
        """Return the feature that makes each unusual account unusual, by position.

        It is the one whose median, in place of the account's own value, lowers the score most.
        """
        places = np.flatnonzero(self.unusual)
        if not len(places):
            return {}
        scores = []
        for feature in range(len(self.used)):
            ordinary = self.scaled[places].copy()
            ordinary[:, feature] = 0
            scores.append(self._scored(ordinary))
        return dict(zip(places.tolist(), np.argmin(scores, axis=0).tolist(), strict=True))

    def _names(self) -> list[tuple[str, str]]:
        """Return a name of each segment: the two features by which it differs most from all accounts."""
        if len(self.centres) == 1:
            return [("All accounts", "全部账号")]
        names: list[tuple[str, str]] = []
        for segment in range(len(self.centres)):
            middle = np.median(self.scaled[self.labels == segment], axis=0)
            order = sorted(range(len(middle)), key=lambda each: (-abs(middle[each]), each))
            parts = [
                (self.used[each].more if middle[each] > 0 else self.used[each].fewer)
                for each in order
                if abs(middle[each]) >= NAMED_FROM
            ]
            name = ("Average accounts", "一般账号")
            for number in range(2, max(2, len(parts)) + 1):  # with more parts, if the name is taken
                if parts:
                    english, chinese = zip(*parts[:number], strict=True)
                    name = (", ".join(english).capitalize(), "、".join(chinese))
                if name not in names:
                    break
            names.append(name)
        return names

    def as_segments(self) -> pa.Table:
        """Return the rows of ``account_segments``."""
        names = self._names()
        reasons = self._reasons()
        places = range(len(self.table))
        distances = np.linalg.norm(self.scaled - self.centres[self.labels], axis=1)

        def of_reason(value: Any) -> list[Any]:
            return [value(place, reasons[place]) if place in reasons else None for place in places]

        def count(place: int, feature: int) -> int | None:
            found = self.counts[place, feature]
            return None if np.isnan(found) else int(found)

        columns = {
            **{name: self.table[name] for name in _KEY},
            "segment": self.labels + 1,
            "segment_name": [names[label][0] for label in self.labels],
            "segment_name_zh": [names[label][1] for label in self.labels],
            "distance": np.round(distances, 4),
            "unusual_score": pa.array(self.scores, from_pandas=True),
            "is_unusual": self.unusual,
            "unusual_feature": of_reason(lambda _, feature: self.used[feature].name),
            "unusual_value": of_reason(count),
            "unusual_median": of_reason(lambda _, feature: self._typical(feature)),
            "unusual_deviation": of_reason(
                lambda place, feature: round(float(self.scaled[place, feature]), 2)
            ),
        }
        return pa.table(columns, _SEGMENTS)

    def _typical(self, feature: int) -> float:
        """Return the median count of a feature."""
        return round(float(10 ** self.medians[feature] - 1), 1)

    def as_card(self) -> pa.Table:
        """Return the rows of ``model_card``."""
        rows: list[tuple[str, str, str, float | None]] = []
        add = rows.append
        for name in _DATA:
            values = ", ".join(sorted(filter(None, self.table[name].unique().to_pylist())))
            add(("data", name, values or "unknown", None))
        add(("data", "accounts", f"{len(self.table)}", len(self.table)))
        for each in FEATURES:
            nulls = self.table[each.count].null_count
            text = f"left out: {self.left_out.get(each.name)}"
            if each in self.used:
                place = self.used.index(each)
                text = f"log10(1 + n), median n {self._typical(place):g}, IQR of the log {self.ranges[place]:.3g}"
                text += f", {nulls} missing" if nulls else ""
            add(("features", each.name, text, None))
        for name, text in (
            ("scaling", "RobustScaler: less the median, divided by the IQR"),
            ("segments", f"KMeans, n_init={STARTS}, random_state={SEED}"),
            ("number_of_segments", f"best silhouette of 2 to {MOST_SEGMENTS} (sample of {SAMPLE})"),
            (
                "smallest_segment",
                f"{SMALLEST_SHARE:.0%}; one segment below {LEAST_ACCOUNTS} accounts",
            ),
            ("unusual", f"IsolationForest, score of {UNUSUAL} or more"),
            ("forest", f"n_estimators={TREES}, max_samples=256, random_state={SEED}"),
        ):
            add(("parameters", name, text, None))
        add(("scores", "segments", f"{len(self.centres)}", len(self.centres)))
        for number, score in self.silhouettes.items():
            add(("scores", f"silhouette_{number}", f"{score:.4f}", score))
        unusual = int(self.unusual.sum())
        add(("scores", "unusual_accounts", f"{unusual}", unusual))
        for library in ("scikit-learn", "numpy", "scipy"):
            add(("libraries", library, version(library), None))
        columns = zip(*((place, *row) for place, row in enumerate(rows, 1)), strict=True)
        return pa.table(dict(zip(_CARD.names, map(list, columns), strict=True)), _CARD)


def _median(values: NDArray[Any]) -> float:
    """Return the median of values, some of which may be missing; 0 if all are."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0
