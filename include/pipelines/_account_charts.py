"""Charts of account segments."""

from __future__ import annotations

from typing import Any

from fanfold import Chart
from pipelines._chart_parts import LABEL, bars, nominal, quantity

FEATURES = """
    features (feature, position, feature_en, feature_zh) AS (VALUES
        ('followers', 1, 'Followers', '粉丝数'), ('friends', 2, 'Following', '关注数'),
        ('statuses', 3, 'Posts', '发帖数'), ('favourites', 4, 'Favourites', '收藏数'),
        ('mutual', 5, 'Mutual', '互粉数')
    )"""
NAMES = """
    segment || '. ' || segment_name AS segment_en, segment || '. ' || segment_name_zh AS segment_zh"""
SCORE = "SELECT max(number) FROM model_card WHERE name LIKE 'silhouette%'"


_SEGMENT = nominal(("segment_en", "segment_zh"), "Segment", "分群")
_NUMBER_OF = {"field": "segment", "type": "ordinal", "title": ("Segment", "分群")}
_ACCOUNTS = quantity("accounts", "Accounts", "账号数")
_SHARE = quantity("share", "Share", "占比", format=".1%")
_FOLLOWERS = quantity("followers", "Followers", "粉丝数")
_POSTS = quantity("posts", "Posts", "发帖数")
_UNUSUAL = quantity("unusual", "Unusual accounts", "异常账号")

SEGMENTS = Chart(
    ("Segments", "分群"),
    sql=f"""
        SELECT {NAMES}, accounts, share, verified_share, unusual_accounts AS unusual,
               median_followers_count AS followers, median_statuses_count AS posts,
               median_days_since_post AS days
        FROM segment_profiles ORDER BY segment""",
    spec={
        "transform": [
            {
                "calculate": "format(datum.accounts, ',') + ' (' + format(datum.share, '.1%') + ')'",
                "as": "label",
            }
        ],
        **bars(
            {**_SEGMENT, "axis": {"title": None, "labelLimit": 300}},
            _ACCOUNTS,
            LABEL,
            _SHARE,
            quantity("verified_share", "Verified", "已认证", format=".1%"),
            quantity("followers", "Median followers", "粉丝数中位数"),
            quantity("posts", "Median posts", "发帖数中位数"),
            quantity("days", "Median days since the last post", "距最近发帖天数中位数"),
            _UNUSUAL,
            color={**_SEGMENT, "sort": None, "legend": None},
        ),
    },
    finding=(
        "{how_en} “{name_en}” is the largest: {share:percent} of {total} accounts.",
        "{how_zh}最大的群：“{name_zh}”，占 {total} 个账号的 {share:percent}。",
    ),
    # The limits are those of Kaufman and Rousseeuw, "Finding Groups in Data", 1990.
    values=f"""
        SELECT share, sum(accounts) OVER () AS total, segment_name AS name_en, segment_name_zh AS name_zh,
               CASE WHEN ({SCORE}) > 0.5 THEN 'The segments are distinct.'
                    WHEN ({SCORE}) > 0.25 THEN 'The segments overlap: use them as a rough grouping.'
                    WHEN ({SCORE}) IS NULL THEN 'Too few or too similar accounts to form segments.'
                    ELSE 'There are no clear segments: the accounts vary continuously.' END AS how_en,
               CASE WHEN ({SCORE}) > 0.5 THEN '各群区分明显。'
                    WHEN ({SCORE}) > 0.25 THEN '各群有重叠，仅宜作粗略分组。'
                    WHEN ({SCORE}) IS NULL THEN '账号过少或过于相似，未能分群。'
                    ELSE '没有清晰的分群，账号之间连续过渡。' END AS how_zh
        FROM segment_profiles ORDER BY accounts DESC, segment LIMIT 1""",
)
# Of one more than the median, as the model takes the logarithm.
MEDIANS = f"""
    WITH {FEATURES}, counts AS (
        UNPIVOT (
            SELECT source, server, user_id, followers_count AS followers, friends_count AS friends,
                   statuses_count AS statuses, favourites_count AS favourites,
                   mutual_followers_count AS mutual FROM dataset
        ) ON followers, friends, statuses, favourites, mutual INTO NAME feature VALUE count
    ), overall AS (
        SELECT feature, median(count) AS everyone FROM counts GROUP BY feature
    ), medians AS (
        SELECT segment, any_value(segment_name) AS segment_name,
               any_value(segment_name_zh) AS segment_name_zh, feature, median(count) AS median
        FROM counts JOIN account_segments USING (source, server, user_id) GROUP BY segment, feature
    ), found AS (
        SELECT segment, {NAMES}, feature_en, feature_zh, position, round(median)::BIGINT AS median,
               round(everyone)::BIGINT AS everyone, (1 + medians.median) / (1 + overall.everyone) AS times
        FROM medians JOIN overall USING (feature) JOIN features USING (feature)
    )"""
_FEATURE = nominal(("feature_en", "feature_zh"), "Feature", "特征")
_TIMES = quantity("times", "Times the median of all accounts", "相对全体中位数的倍数")
PROFILES = Chart(
    ("What distinguishes the segments", "各群的特点"),
    sql=f"""
        {MEDIANS}
        SELECT segment, segment_en, segment_zh, feature_en, feature_zh, median, everyone, times
        FROM found ORDER BY segment, position""",
    spec={
        "transform": [
            {"calculate": "max(-1, min(1, log(datum.times) / LN10))", "as": "tint"},
        ],
        "height": {"step": 44},
        "encoding": {
            "y": {
                **_NUMBER_OF,
                "sort": None,
                "axis": {
                    "title": None,
                    "labelExpr": ("'Segment ' + datum.label", "'分群 ' + datum.label"),
                },
            },
            "x": {
                **_FEATURE,
                "sort": None,
                "axis": {
                    "title": None,
                    "orient": "top",
                    "labelAngle": 0,
                    "labelOverlap": False,
                    "labelFlush": False,
                    "domain": False,
                },
            },
        },
        "layer": [
            {
                "mark": {"type": "rect", "opacity": 0.6},
                "encoding": {
                    "color": {
                        "field": "tint",
                        "type": "quantitative",
                        "title": ("Against all accounts", "与全体相比"),
                        "scale": {"domain": [-1, 1], "domainMid": 0, "interpolate": "rgb"},
                        "legend": {
                            "values": [-1, 0, 1],
                            "labelExpr": "datum.value == 0 ? '=' : datum.value < 0 ? '÷ 10' : '× 10'",
                        },
                    },
                    "tooltip": [
                        _SEGMENT,
                        _FEATURE,
                        quantity("median", "Median of the segment", "本群中位数"),
                        quantity("everyone", "Median of all accounts", "全体中位数"),
                        {**_TIMES, "format": ".2f"},
                    ],
                },
            },
            {
                "mark": {"type": "text", "tooltip": None, "fontSize": 13},
                "encoding": {"text": {"field": "median", "type": "quantitative"}},
            },
        ],
    },
    finding=(
        "Median account of each segment. Largest difference: {feature_en} in “{segment_en}”, {median} against {everyone} of all accounts.",
        "各群的中位数。差别最大：“{segment_zh}”的{feature_zh}为 {median}，全体为 {everyone}。",
    ),
    values=f"""
        {MEDIANS}
        SELECT segment_en, segment_zh, lower(feature_en) AS feature_en, feature_zh, median, everyone
        FROM found WHERE times <> 1 ORDER BY abs(ln(times)) DESC, segment, position LIMIT 1""",
)


def _decades(english: str, chinese: str) -> dict[str, Any]:
    values = [10**exponent for exponent in range(10)]
    return {
        "scale": {"type": "log"},
        "axis": {"title": (english, chinese), "values": values, "labelOverlap": False},
    }


POINTS = Chart(
    ("Followers and posts", "粉丝数与发帖数"),
    # The most unusual accounts and a fixed sample of the others.
    sql=f"""
        WITH points AS (
            SELECT coalesce(name, screen_name, user_id) AS account, segment, segment_name, segment_name_zh,
                   is_unusual, followers_count AS followers, statuses_count AS posts, unusual_score AS score,
                   row_number() OVER (
                       PARTITION BY is_unusual
                       ORDER BY if(is_unusual, -unusual_score, 0), md5(user_id), source
                   ) AS place
            FROM account_segments JOIN dataset USING (source, server, user_id)
        )
        SELECT account, segment, {NAMES}, if(is_unusual, 'yes', 'no') AS unusual_en,
               if(is_unusual, '是', '否') AS unusual_zh, 1 + followers AS followers, 1 + posts AS posts, score
        FROM points WHERE place <= if(is_unusual, 50, 1000) AND followers IS NOT NULL AND posts IS NOT NULL
        ORDER BY segment, is_unusual, place""",
    spec={
        "height": 360,
        "mark": {"type": "point", "opacity": 0.7},
        "encoding": {
            "x": {**_FOLLOWERS, **_decades("Followers + 1 (log scale)", "粉丝数 + 1（对数坐标）")},
            "y": {**_POSTS, **_decades("Posts + 1 (log scale)", "发帖数 + 1（对数坐标）")},
            "color": {**_NUMBER_OF, "scale": {"range": "category"}},
            "shape": {
                **nominal(("unusual_en", "unusual_zh"), "Unusual", "异常"),
                "scale": {"range": ["circle", "triangle-up"]},
                "sort": None,
                "legend": None,
            },
            "size": {
                "condition": {
                    "test": ("datum.unusual_en == 'yes'", "datum.unusual_zh == '是'"),
                    "value": 110,
                },
                "value": 25,
            },
            "tooltip": [
                nominal("account", "Account", "账号"),
                _SEGMENT,
                _FOLLOWERS,
                _POSTS,
                quantity("score", "Unusual score", "异常分数", format=".3f"),
            ],
        },
    },
    finding=(
        "Dots: {dots_en} accounts. Triangles: {triangles} of {unusual} unusual ones.",
        "圆点：{dots_zh} 个账号；三角形：{unusual} 个异常账号中的 {triangles} 个。",
    ),
    values="""
        WITH counts AS (
            SELECT count(*) FILTER (is_unusual) AS unusual, count(*) - unusual AS others
            FROM account_segments
        )
        SELECT unusual, least(unusual, 50) AS triangles,
               if(others > 1000, 'a sample of 1,000', others::VARCHAR) AS dots_en,
               if(others > 1000, '抽样的 1,000', others::VARCHAR) AS dots_zh
        FROM counts""",
)
_SCORE = quantity("score", "Unusual score", "异常分数")
_ROOM = "width > 260 ? 0.75 * width / (width - 200) : 4"
"""End of the axis of scores, which are below 1: room of 200 pixels for the texts beside the bars."""
UNUSUAL = Chart(
    ("Most unusual accounts", "最异常的账号"),
    sql=f"""
        WITH {FEATURES}, top AS (
            SELECT coalesce(name, screen_name, user_id) AS account, user_id, unusual_score AS score,
                   segment, segment_name, segment_name_zh, unusual_feature AS feature,
                   unusual_value AS value, unusual_median AS median, unusual_deviation AS deviation
            FROM account_segments JOIN dataset USING (source, server, user_id)
            WHERE is_unusual ORDER BY score DESC, source, server, user_id LIMIT 15
        )
        SELECT if(count(*) OVER (PARTITION BY account) > 1, account || ' ' || user_id, account) AS account,
               user_id, score, {NAMES}, feature_en, feature_zh, value, median, deviation
        FROM top JOIN features USING (feature) ORDER BY score DESC, user_id""",
    spec={
        "transform": [
            {
                "calculate": (
                    "format(datum.score, '.2f') + ': ' + datum.feature_en + ' ' + (isValid(datum.value) ? format(datum.value, ',') : 'unknown') + ' (median ' + format(datum.median, ',.0f') + ')'",
                    "format(datum.score, '.2f') + '：' + datum.feature_zh + ' ' + (isValid(datum.value) ? format(datum.value, ',') : '未知') + '（中位数 ' + format(datum.median, ',.0f') + '）'",
                ),
                "as": "label",
            },
        ],
        **bars(
            nominal("account", "Account", "账号"),
            {
                **_SCORE,
                "format": ".3f",
                "scale": {"domainMin": 0, "domainMax": {"expr": _ROOM}, "nice": False},
            },
            LABEL,
            nominal("user_id", "User id", "用户 ID"),
            _SEGMENT,
            nominal(("feature_en", "feature_zh"), "Mainly because of", "主要原因"),
            quantity("value", "Its value", "该值"),
            quantity("median", "Median of all accounts", "全体中位数"),
            quantity(
                "deviation",
                "Interquartile ranges from the median",
                "偏离中位数（四分位距）",
                format="+.1f",
            ),
        ),
    },
    finding=(
        "{unusual} of {accounts} accounts have a score of 0.6 or more. The text beside a bar names the main reason.",
        "{accounts} 个账号中有 {unusual} 个的分数不低于 0.6。条形旁注明主要原因。",
    ),
    values="""
        SELECT count(*) FILTER (is_unusual) AS unusual, count(*) AS accounts FROM account_segments""",
)
_NUMBER = {"field": "segments", "type": "ordinal", "title": ("Number of segments", "分群数")}
_SILHOUETTE = quantity("silhouette", "Silhouette (-1 to 1)", "轮廓系数（-1 至 1）")
CHOICE = Chart(
    ("Silhouette by number of segments", "不同分群数的轮廓系数"),
    sql="""
        SELECT replace(name, 'silhouette_', '') AS segments, number AS silhouette,
               number = max(number) OVER () AS chosen
        FROM model_card WHERE name LIKE 'silhouette%' ORDER BY position""",
    spec={
        "encoding": {
            "x": {**_NUMBER, "axis": {"labelAngle": 0}},
            "y": {**_SILHOUETTE, "axis": None},
        },
        "layer": [
            {
                "mark": "bar",
                "encoding": {
                    "opacity": {"condition": {"test": "datum.chosen", "value": 1}, "value": 0.4},
                    "tooltip": [_NUMBER, {**_SILHOUETTE, "format": ".3f"}],
                },
            },
            {
                "mark": {"type": "text", "baseline": "bottom", "dy": -4, "tooltip": None},
                "encoding": {"text": {"field": "silhouette", "format": ".3f"}},
            },
        ],
    },
    finding=(
        "{segments} segments have the best silhouette, {silhouette}. Above 0.5 segments are distinct, below 0.25 there are none.",
        "分为 {segments} 群时轮廓系数最高，为 {silhouette}。高于 0.5 表示区分明显，低于 0.25 表示没有分群结构。",
    ),
    values="""
        SELECT replace(name, 'silhouette_', '') AS segments, round(number, 2) AS silhouette
        FROM model_card WHERE name LIKE 'silhouette%' ORDER BY number DESC, position LIMIT 1""",
)
CARD = Chart(
    ("Model card", "模型卡"),
    sql="""
        WITH names (name, name_en, name_zh) AS (VALUES
            ('profiles_run', 'Trained on the run', '训练所用的运行'),
            ('profiles_sha256', 'SHA-256 of its file', '其文件的 SHA-256'),
            ('profiles_as_of', 'Date of the profiles', '档案日期'), ('accounts', 'Accounts', '账号数'),
            ('followers', 'Followers', '粉丝数'), ('friends', 'Following', '关注数'),
            ('statuses', 'Posts', '发帖数'), ('favourites', 'Favourites', '收藏数'),
            ('mutual', 'Mutual', '互粉数'), ('scaling', 'Scaling', '缩放'),
            ('segments', 'Segments', '分群'), ('number_of_segments', 'Number of segments', '分群数'),
            ('smallest_segment', 'Smallest segment', '最小的群'),
            ('unusual', 'Unusual accounts', '异常账号'), ('forest', 'Isolation forest', '孤立森林')
        )
        SELECT coalesce(name_en, name) AS name_en, coalesce(name_zh, name) AS name_zh, value,
               position AS entry
        FROM model_card LEFT JOIN names USING (name) WHERE section <> 'scores' ORDER BY position""",
    spec={
        "transform": [{"calculate": "truncate(datum.value, max(20, floor(width / 6)))", "as": "text"}],
        "mark": {"type": "text", "align": "left", "fontSize": 11},
        "encoding": {
            "y": {
                **nominal(("name_en", "name_zh"), "Entry", "条目"),
                "sort": None,
                "axis": {"title": None, "domain": False},
            },
            "x": {"value": 0},
            "text": {"field": "text", "type": "nominal"},
            "tooltip": [
                nominal(("name_en", "name_zh"), "Entry", "条目"),
                nominal("value", "Value", "值"),
            ],
        },
    },
    finding=(
        "What the model was made of, so that it can be judged and repeated. The same file gives the same segments; the names of segments are medians in words, not judgements of people.",
        "模型的来源与参数，便于评估和重现。同一文件得到相同的分群；群名仅以文字概括中位数，并非对个人的评价。",
    ),
)
CHARTS = [SEGMENTS, PROFILES, POINTS, UNUSUAL, CHOICE, CARD]
