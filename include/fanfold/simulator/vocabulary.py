"""Words for names, descriptions and posts, and edge cases of real payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def pick(words: Sequence[str], draw: int) -> str:
    """Return the word that a random number selects."""
    return words[draw % len(words)]


def listed(text: str) -> tuple[str, ...]:
    """Split a text into words."""
    return tuple(text.split())


SURNAMES = tuple(
    "王王王王李李李李张张张张刘刘刘陈陈陈杨杨黄黄赵赵吴吴周周徐孙马朱胡郭何林高罗郑梁谢宋唐许邓韩冯"
    "曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹"
    "薛闫段雷龙黎史陶贺毛郝顾龚邵万覃武钱戴严莫孔向常"
)
GIVEN = tuple(
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉红建文志国晓东海燕雪梅琳浩宇轩子涵梓萱欣怡"
    "思雨佳琪雅婷俊峰博鹏飞晨阳天翔一诺依然若曦语桐沐辰景行清越嘉树临风云舒望月星河知远怀瑾"
)
NICKS = listed(
    "小雨 大熊 爱吃鱼的猫 奔跑的蜗牛 阿福 豆豆 糖糖 西瓜太郎 北方的狼 南城旧事 一只柠檬 老王说车 深夜食堂 "
    "吃货日记 旅行的意义 摄影师小李 程序员的日常 数据控 财经观察 足球小将 篮球先生 猫奴一号 追剧少女 橘子汽水 "
    "山间明月 海边的风 书虫 电影笔记 咖啡不加糖 慢生活 手工达人 健身打卡 早睡早起 今天也要加油 不吃香菜 快乐星球 "
    "momo Kevin Lily Jason Vivian Leo 阿珍 二狗 胖虎 星辰大海 追光者 云端漫步"
)
SUFFIXES = ("", "", "", "_", "er", "酱", "同学", "呀", "520", "88", "_v", "2333", "君", "Official")
EMOJI = ("😀", "🌸", "🐱", "🎉", "❤️", "👨‍👩‍👧", "🇨🇳", "👍🏽", "🍜", "✨")

OPENINGS = listed(
    "热爱生活 喜欢摄影 一个普通的上班族 资深吃货 环游世界中 互联网从业者 自由撰稿人 独立音乐人 宠物博主 "
    "美食博主 在读研究生 两个孩子的妈妈 退休教师 科幻迷 马拉松爱好者 前端工程师 数据分析师 历史爱好者 "
    "爱猫人士 动漫迷 球迷 影评人 心理咨询师 高中物理老师 中医世家 做一个温柔的人"
)
MIDDLES = (
    "，分享日常点滴", "，记录每一天", "。专注数据与人文", "，不定期更新", "，一起看世界", "；转发不代表赞同",
    "，爱笑的人运气不会太差", "。坐标随缘", "，努力成为更好的自己", "。偶尔写诗", "，常年潜水", "",
)  # fmt: skip
ENDINGS = (
    "", "", "", "。", "～", "！", "。合作请私信", "。商务合作：pr@example.com", "。公众号同名", "✨", "🌈", " ☕",
)  # fmt: skip
POSTS = (
    "今天天气真好", "转发微博", "早安，新的一天", "晚饭吃什么呢", "终于下班了", "这部电影值得一看", "分享图片",
    "周末去爬山", "地铁又晚点了", "生日快乐！", "读完一本好书", "抽奖啦，转发抽三位送书", "深夜的城市很安静",
)  # fmt: skip
TOPICS = (
    "", "", "#早安#", "#每日一善#", "#旅行#", "#美食#", "#微博之夜#", "[心]", "[doge]", "😂", "@微博小秘书 ",
)  # fmt: skip
CLIENTS = (
    "微博网页版", "iPhone 15 Pro", "Android客户端", "HUAWEI Mate 60", "小米14", "微博 weibo.com", "iPad客户端",
)  # fmt: skip
TRADES = ("汽车", "美食", "科技", "财经", "体育", "娱乐", "教育", "医疗", "时尚", "音乐")
REASONS = {
    0: "知名{}博主",
    1: "官方微博（{}主管部门）",
    2: "{}有限公司官方微博",
    3: "{}频道官方微博",
    4: "{}学院官方微博",
    5: "{}网官方微博",
    7: "{}协会官方微博",
}
"""verified_reason by verified_type; types 200, 220 and -1 have none."""

NAME_TRAPS = (
    "=cmd|' /C calc'!A0", "+1", "@SUM(1+1)*cmd", "-2+3", "<script>alert(1)</script>", '张"引号"三', "O'Brien",
    "逗,号", " 前后空白 ", "مرحبا بالعالم", "\u202eevil\u202c", "零\u200b宽\u200d字\ufeff符", "制\t表", "🐼🐼🐼",
    "Robert'); DROP TABLE users;--", "null", "0", "../../etc/passwd", "{{7*7}}", "𠮷野家", "%s%n", "\\反斜杠\\",
)  # fmt: skip
"""Names that break careless pipelines; none is blank."""
DESCRIPTION_TRAPS = (
    "第一行\n第二行\r\n第三行", "\t制表\t符", '他说："你好", "再见"', "a,b;c|d", "  两头空白  ", "=1+1",
    '=HYPERLINK("http://example.com","点我")', "+86 10 12345678", "-2+3", "@SUM(A1:A9)",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt;实体&lt;/b&gt;", "שלום עולם",
    "عربي \u202b يمين \u202c", "零\u200b宽\u200c的\u2060话", "👨‍👩‍👧‍👦🏳️‍🌈🇨🇳", "line\u2028separator\u2029",
    "'; DELETE FROM user_profiles; --", "\\n 不是换行", "e\u0301 合成", "\u0001控制\u001f", "很长" * 1000, "NaN",
)  # fmt: skip

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = listed("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
