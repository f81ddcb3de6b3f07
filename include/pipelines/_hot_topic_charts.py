"""Charts of hot topics: what is on the list now, where it came from, and who carries it.

The topics shown are those of the newest run, in the order of its hot list. Times are in UTC; the hour of the
run has not ended and is left out where hours are compared.
"""

from __future__ import annotations

from typing import Any

from fanfold import Chart
from pipelines._chart_parts import LABEL, NO_TITLE, bars, nominal, quantity, tooltip

CURRENT = """
    WITH current AS (
        SELECT topic, row_number() OVER (
                   ORDER BY min(rank) FILTER (kind = 'listed') NULLS LAST, topic) AS place
        FROM dataset WHERE as_of = (SELECT max(as_of) FROM dataset) GROUP BY topic
    ), newest AS (
        SELECT max(as_of) AS read_at, date_trunc('hour', max(as_of)) AS this_hour FROM dataset
    )"""
_TOPIC = nominal("topic", "Topic", "话题")
_COLOUR = {**_TOPIC, "sort": None, "legend": {"title": None, "columns": 3, "labelLimit": 130}}
_CLOCK = nominal("clock", "Hour (UTC)", "时间（UTC）")
_HOUR = {
    "field": "hour",
    "type": "temporal",
    "title": ("Hour (UTC)", "时间（UTC）"),
    "axis": {
        "title": None,
        "format": "%H:%M",
        "labelExpr": "minutes(datum.value) ? '' : datum.label",
    },
}
_DAY = {"field": "day", "type": "ordinal", "title": ("Day", "日期")}
_POSTS = quantity("posts", "Posts", "博文数")
_REACTIONS = quantity("reactions", "Reposts, comments and likes", "转发、评论和点赞")
_AUTHORS = quantity("authors", "Authors", "作者数")


def _lines(y: dict[str, Any], *more: dict[str, Any]) -> dict[str, Any]:
    """Return a line of each topic by hour."""
    return {
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": _HOUR,
            "y": y,
            "color": _COLOUR,
            "tooltip": tooltip(_CLOCK, _TOPIC, y, *more),
        },
    }


CHARTS = [
    Chart(
        ("The topics of this hour, and their last 24 hours", "当前热门话题及其最近 24 小时"),
        sql=f"""
            {CURRENT}, sums AS (
                SELECT topic, count(*) AS posts, sum(reactions) AS reactions,
                       count(DISTINCT author_id) AS authors,
                       count(DISTINCT author_id) FILTER (verified) / nullif(
                           count(DISTINCT author_id) FILTER (verified IS NOT NULL), 0)
                           AS verified_share,
                       count(*) FILTER (deleted) AS deleted
                FROM topic_statuses, newest WHERE created_at > read_at - INTERVAL 24 HOUR
                GROUP BY topic
            ), moves AS (
                SELECT topic, change, rank_before - rank AS places FROM topic_changes
                WHERE hour = (SELECT max(hour) FROM topic_changes)
            )
            SELECT place || '. ' || topic AS topic, coalesce(posts, 0) AS posts,
                   coalesce(reactions, 0) AS reactions, coalesce(authors, 0) AS authors,
                   verified_share, coalesce(deleted, 0) AS deleted,
                   CASE change WHEN 'new' THEN 'new' WHEN 'back' THEN 'back'
                        WHEN 'rising' THEN '▲ ' || places WHEN 'falling' THEN '▼ ' || -places
                        ELSE '' END AS move_en,
                   CASE change WHEN 'new' THEN '新' WHEN 'back' THEN '重返' ELSE move_en END
                       AS move_zh
            FROM current LEFT JOIN sums USING (topic) LEFT JOIN moves USING (topic)
            ORDER BY current.place LIMIT 20""",
        spec={
            "transform": [
                {
                    "calculate": (
                        "format(datum.posts, ',') + ' posts, ' + format(datum.reactions, ',') + ' reactions  ' + datum.move_en",
                        "format(datum.posts, ',') + ' 条博文，互动 ' + format(datum.reactions, ',') + '  ' + datum.move_zh",
                    ),
                    "as": "label",
                }
            ],
            **bars(
                _TOPIC,
                _POSTS,
                LABEL,
                _REACTIONS,
                _AUTHORS,
                quantity("verified_share", "Verified authors", "认证作者占比", format=".1%"),
                quantity("deleted", "Deleted posts", "已删除的博文"),
                nominal(("move_en", "move_zh"), "Since the list before", "较上一榜单"),
            ),
        },
        finding=(
            "{topic} leads the list of {clock} (UTC); hours on the list: {hours}. New: {new_en}. Back: {back_en}. Gone: {gone_en}.",
            "{clock}（UTC）的榜单居首的是“{topic}”，已在榜 {hours} 小时。新上榜：{new_zh}；重返：{back_zh}；落榜：{gone_zh}。",
        ),
        values="""
            WITH moves AS (
                SELECT list(topic ORDER BY rank) FILTER (change = 'new') AS new,
                       list(topic ORDER BY rank) FILTER (change = 'back') AS back,
                       list(topic ORDER BY rank_before) FILTER (change = 'gone') AS gone,
                       coalesce(bool_or(change = 'unknown'), true) AS unknown
                FROM topic_changes WHERE hour = (SELECT max(hour) FROM topic_changes)
            )
            SELECT if(unknown, 'not known', 'none') AS no_en, if(unknown, '未知', '无') AS no_zh,
                   topic, hours, strftime(hour, '%Y-%m-%d %H:%M') AS clock,
                   coalesce(array_to_string(new, ', '), no_en) AS new_en,
                   coalesce(array_to_string(new, '、'), no_zh) AS new_zh,
                   coalesce(array_to_string(back, ', '), no_en) AS back_en,
                   coalesce(array_to_string(back, '、'), no_zh) AS back_zh,
                   coalesce(array_to_string(gone, ', '), no_en) AS gone_en,
                   coalesce(array_to_string(gone, '、'), no_zh) AS gone_zh
            FROM moves, topic_changes JOIN topic_time_on_list USING (topic)
            WHERE hour = (SELECT max(hour) FROM topic_changes) AND rank = 1 ORDER BY topic LIMIT 1""",
    ),
    Chart(
        ("Posts by hour, last 24 hours", "最近 24 小时每小时的博文数"),
        sql=f"""
            {CURRENT}, top AS (SELECT topic, place FROM current WHERE place <= 6),
            hours AS (
                SELECT unnest(generate_series(this_hour - INTERVAL 24 HOUR,
                    this_hour - INTERVAL 1 HOUR, INTERVAL 1 HOUR)) AS hour
                FROM newest WHERE this_hour IS NOT NULL
            ), begins AS (SELECT topic, min(hour) AS first_hour FROM topic_heat GROUP BY topic)
            SELECT hour, strftime(hour, '%m-%d %H:%M') AS clock, topic,
                   coalesce(posts, 0) AS posts, coalesce(reactions, 0) AS reactions,
                   coalesce(authors, 0) AS authors, verified_share
            FROM top JOIN begins USING (topic) JOIN hours ON hour >= first_hour
            LEFT JOIN topic_heat USING (topic, hour) ORDER BY place, hour""",
        spec=_lines(
            _POSTS,
            _REACTIONS,
            _AUTHORS,
            quantity("verified_share", "Verified authors", "认证作者占比", format=".1%"),
        ),
        finding=(
            "Most posts in an hour: {posts}, about {topic}, at {clock} (UTC), by {authors} authors. The source shows no more than its newest posts of a topic. {refused_en} {said}",
            "一小时内博文最多：“{topic}”，{clock}（UTC）有 {posts} 条，来自 {authors} 位作者。数据源只提供每个话题最新的博文。{refused_zh}{said}",
        ),
        values=f"""
            {CURRENT}, refused AS (
                SELECT count(DISTINCT topic) AS topics, min(text) AS said FROM dataset
                WHERE kind = 'no_statistics' AND as_of = (SELECT max(as_of) FROM dataset)
            )
            SELECT topic, strftime(hour, '%m-%d %H:%M') AS clock, posts, authors,
                   if(topics > 0, 'Without statistics by day: ' || topics || '.', '') AS refused_en,
                   if(topics > 0, topics || ' 个话题没有按日统计：', '') AS refused_zh,
                   coalesce(said, '') AS said
            FROM topic_heat JOIN current USING (topic), newest, refused
            WHERE hour >= this_hour - INTERVAL 24 HOUR AND hour < this_hour AND place <= 6
            ORDER BY posts DESC, hour, topic LIMIT 1""",
    ),
    Chart(
        ("Ranks on the list, last 24 hours", "最近 24 小时的名次"),
        sql=f"""
            {CURRENT}
            SELECT hour, strftime(hour, '%m-%d %H:%M') AS clock, topic, rank
            FROM topic_changes JOIN current USING (topic)
            WHERE place <= 8 AND hour > (SELECT max(hour) FROM topic_changes) - INTERVAL 24 HOUR
            -- A topic that is gone has no rank, which interrupts its line.
            ORDER BY place, hour""",
        spec=_lines(
            quantity(
                "rank",
                "Rank",
                "名次",
                scale={"reverse": True, "zero": False, "nice": False},
                axis={"values": [1, 5, 10, 15, 20]},
            )
        ),
        finding=(
            "Lists: {lists}. Topics among the first ten: {topics}; in first place: {first}.",
            "{lists} 个榜单中共有 {topics} 个话题进入前十，其中 {first} 个曾居首位。",
        ),
        values="""
            SELECT count(DISTINCT hour) AS lists, count(DISTINCT topic) AS topics,
                   count(DISTINCT topic) FILTER (rank = 1) AS first
            FROM topic_changes WHERE rank <= 10
              AND hour > (SELECT max(hour) FROM topic_changes) - INTERVAL 24 HOUR
            HAVING lists > 0""",
    ),
    Chart(
        ("Longest on the list", "在榜时间最长的话题"),
        sql="""
            SELECT topic, hours, visits, best_rank, strftime(first_hour, '%m-%d %H:%M') AS clock,
                   if(is_listed, 'yes', 'no') AS listed_en, if(is_listed, '是', '否') AS listed_zh
            FROM topic_time_on_list ORDER BY hours DESC, best_rank, topic LIMIT 15""",
        spec={
            "transform": [
                {
                    "calculate": (
                        "datum.hours + ' h, best rank ' + datum.best_rank",
                        "datum.hours + ' 小时，最高第 ' + datum.best_rank + ' 名'",
                    ),
                    "as": "label",
                }
            ],
            **bars(
                _TOPIC,
                quantity("hours", "Hours on the list", "在榜小时数"),
                LABEL,
                quantity("visits", "Times on the list", "上榜次数"),
                quantity("best_rank", "Best rank", "最高名次"),
                nominal("clock", "Since (UTC)", "首次上榜（UTC）"),
                nominal(("listed_en", "listed_zh"), "On the list now", "当前在榜"),
            ),
        },
        finding=(
            "Half of the topics were on the list for {median} h or less. Topics that came back: {again}.",
            "半数话题在榜不超过 {median} 小时；{again} 个话题落榜后又重返。",
        ),
        values="""
            SELECT median(hours) AS median, count(*) FILTER (visits > 1) AS again FROM topic_time_on_list
            HAVING count(*) > 0""",
    ),
    Chart(
        ("Accounts that carry the topics of this hour", "推动当前话题的账号"),
        sql="""
            SELECT coalesce(if(count(*) OVER (PARTITION BY author) > 1,
                      author || ' ' || author_id, author), author_id) AS author,
                   reactions, posts, topics, top_topic
            FROM top_authors ORDER BY reactions DESC, author_id LIMIT 15""",
        spec={
            "transform": [
                {
                    "calculate": "format(datum.reactions, ',') + '  ' + datum.top_topic",
                    "as": "label",
                }
            ],
            **bars(
                nominal("author", "Account", "账号"),
                _REACTIONS,
                LABEL,
                _POSTS,
                quantity("topics", "Topics", "话题数"),
                nominal("top_topic", "Topic", "话题"),
            ),
        },
        finding=(
            "The {n} leading accounts of these topics got {share:percent} of all reactions to them.",
            "这些话题的 {n} 个主要账号获得全部互动的 {share:percent}。",
        ),
        values=f"""
            {CURRENT}, posts AS (
                SELECT max(reactions) AS reactions FROM topic_statuses JOIN current USING (topic)
                WHERE place <= 10 GROUP BY status_id
            ), sums AS (SELECT sum(reactions) AS total FROM posts)
            SELECT count(*) AS n, sum(reactions) / nullif(any_value(total), 0) AS share
            FROM top_authors, sums HAVING n > 0""",
    ),
    Chart(
        ("Topics with the same authors, share of the authors of both", "话题之间的共同作者占比"),
        sql=f"""
            {CURRENT}, pairs AS (
                FROM topic_overlap UNION ALL
                SELECT * REPLACE (topic AS other, other AS topic, authors AS other_authors,
                                  other_authors AS authors) FROM topic_overlap
            )
            SELECT one.topic, two.topic AS other, coalesce(jaccard, 0) AS jaccard,
                   coalesce(common_authors, 0) AS common_authors
            FROM current AS one JOIN current AS two ON two.place < one.place
            LEFT JOIN pairs ON pairs.topic = one.topic AND pairs.other = two.topic
            WHERE one.place <= 10 ORDER BY one.place, two.place""",
        spec={
            "height": {"step": 26},
            "transform": [{"joinaggregate": [{"op": "max", "field": "jaccard", "as": "most"}]}],
            "encoding": {
                "y": {**_TOPIC, "sort": None, **NO_TITLE},
                "x": {
                    **nominal("other", "Other topic", "另一话题"),
                    "sort": None,
                    "axis": {
                        "title": None,
                        "labelAngle": -40,
                        "labelOverlap": False,
                        "labelLimit": 120,
                    },
                },
            },
            "layer": [
                {
                    "mark": "rect",
                    "encoding": {
                        "color": quantity(
                            "jaccard", "Authors in common (share)", "共同作者占比", legend=None
                        ),
                        "tooltip": [
                            _TOPIC,
                            nominal("other", "Other topic", "另一话题"),
                            quantity("common_authors", "Authors in common", "共同作者"),
                            quantity("jaccard", "Share of all of both", "占两者全部作者", format=".1%"),
                        ],
                    },
                },
                {
                    "mark": {"type": "text", "fontSize": 10, "tooltip": None},
                    "encoding": {
                        "text": {"field": "jaccard", "format": ".0%"},
                        "color": {
                            "condition": {
                                "test": "datum.jaccard > 0.5 * datum.most",
                                "value": "var(--card)",
                            },
                            "value": "var(--ink)",
                        },
                    },
                },
            ],
        },
        finding=(
            "Most authors in common: {topic} and {other}, {common}, which are {share:percent} of all who wrote about either.",
            "共同作者最多的是“{topic}”与“{other}”：{common} 位，占两个话题全部作者的 {share:percent}。",
        ),
        values=f"""
            {CURRENT}
            SELECT topic_overlap.topic, other, common_authors AS common, jaccard AS share
            FROM topic_overlap JOIN current AS one ON one.topic = topic_overlap.topic
            JOIN current AS two ON two.topic = other WHERE one.place <= 10 AND two.place <= 10
            ORDER BY jaccard DESC, topic_overlap.topic, other LIMIT 1""",
    ),
    Chart(
        ("Mentions by day, as the source counts them", "数据源统计的每日讨论数"),
        sql=f"""
            {CURRENT}
            SELECT strftime(day, '%Y-%m-%d') AS day, topic, mention_count AS mentions, read_count AS reads,
                   account_count AS authors, star
            FROM topic_days JOIN current USING (topic), newest
            WHERE place <= 6 AND mention_count IS NOT NULL AND day > read_at::DATE - 30
            ORDER BY place, day""",
        spec={
            "mark": "bar",
            "encoding": {
                "x": {**_DAY, "axis": {"title": None, "labelAngle": 0}},
                "y": quantity("mentions", "Mentions", "讨论数"),
                "color": _COLOUR,
                "tooltip": [
                    _DAY,
                    _TOPIC,
                    quantity("mentions", "Mentions", "讨论数"),
                    quantity("reads", "Reads", "阅读数"),
                    _AUTHORS,
                    quantity("star", "Rating (0 to 10)", "星级（0 至 10）"),
                ],
            },
        },
        finding=(
            "Most mentions on a day: {mentions:short}, of {topic}, on {day}.",
            "单日讨论最多：“{topic}”，{day} 有 {mentions:short} 次。",
        ),
        values=f"""
            {CURRENT}
            SELECT topic, day, mention_count AS mentions
            FROM topic_days JOIN current USING (topic), newest
            WHERE mention_count IS NOT NULL AND place <= 6 AND day > read_at::DATE - 30
            ORDER BY mentions DESC, day, topic LIMIT 1""",
    ),
]
