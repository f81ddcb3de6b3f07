"""Make the row of a user from a Weibo profile: the second function of ``function_map``.

Payload: the result of ``get_user_info``. Result: ``{"user_id": …, "user": {…}}``; a missing user is
passed on. Fields are those of open.weibo.com/wiki/2/users/show.

Handler: ``process_user.handler`` (AWS Lambda), ``process_user.main_handler`` (Tencent SCF).
"""

from datetime import datetime, timezone

FIELDS = {
    "user_id": "id",
    "screen_name": "screen_name",
    "name": "name",
    "description": "description",
    "location": "location",
    "region": "province",
    "gender": "gender",
    "url": "url",
    "profile_url": "profile_url",
    "avatar_url": "avatar_large",
    "verified": "verified",
    "verified_type": "verified_type",
    "verified_reason": "verified_reason",
    "followers_count": "followers_count",
    "friends_count": "friends_count",
    "statuses_count": "statuses_count",
    "favourites_count": "favourites_count",
    "mutual_followers_count": "bi_followers_count",
    "created_at": "created_at",
}
VERIFIED_TYPES = {
    -1: "none", 0: "person", 1: "government", 2: "company", 3: "media", 4: "school", 5: "website",
    6: "application", 7: "organisation", 200: "talent", 220: "talent", 400: "deceased",
}  # fmt: skip
PROVINCES = {
    11: "北京", 12: "天津", 13: "河北", 14: "山西", 15: "内蒙古", 21: "辽宁", 22: "吉林",
    23: "黑龙江", 31: "上海", 32: "江苏", 33: "浙江", 34: "安徽", 35: "福建", 36: "江西",
    37: "山东", 41: "河南", 42: "湖北", 43: "湖南", 44: "广东", 45: "广西", 46: "海南",
    50: "重庆", 51: "四川", 52: "贵州", 53: "云南", 54: "西藏", 61: "陕西", 62: "甘肃",
    63: "青海", 64: "宁夏", 65: "新疆", 71: "台湾", 81: "香港", 82: "澳门", 100: "其他",
    400: "海外",
}  # fmt: skip


def handler(event, context):
    """Return the row of a user; a value that cannot be read stays as it is."""
    if "missing" in event:
        return event
    profile = event["profile"]
    user = {column: text(profile.get(field)) for column, field in FIELDS.items()}
    status = profile.get("status")
    posted = status.get("created_at") if isinstance(status, dict) else None
    user.update(
        source="weibo",
        region=named(user["region"], PROVINCES, None),
        verified=False if user["verified"] is None else user["verified"],
        verified_type=named(user["verified_type"], VERIFIED_TYPES, "other"),
        created_at=moment(user["created_at"]),
        last_status_at=moment(text(posted)),
    )
    return {"user_id": event["user_id"], "user": user}


def text(value):
    """Return a text without NUL and surrounding space, None if nothing is left."""
    return value.replace("\0", "").strip() or None if isinstance(value, str) else value


def named(value, names, other):
    """Return the name of a code, which is a number or its digits."""
    digits = value.removeprefix("-") if isinstance(value, str) else ""
    if type(value) is int or (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return names.get(int(value), other)
    return value


def moment(value):
    """Return ``Fri Aug 28 00:00:00 +0800 2009`` as a text of ISO 8601 in UTC."""
    try:
        found = datetime.strptime(value, "%a %b %d %H:%M:%S %z %Y")
        return found.astimezone(timezone.utc).isoformat()
    except (TypeError, ValueError, OverflowError):
        return value


main_handler = handler
