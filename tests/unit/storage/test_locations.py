"""Files in folders: what is listed, what is opened, and what is refused."""

import os

import boto3
import pytest

from fanfold.errors import BadConfiguration, BadInput, ItemRefused
from fanfold.storage.locations import Found, Locations


@pytest.fixture
def folder(tmp_path):
    """An allowed folder beside one that is not."""
    (tmp_path / "drops").mkdir()
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "secret.csv").write_text("secret")
    return tmp_path / "drops"


@pytest.fixture
def locations(folder):
    def no_client():
        pytest.fail("files in folders need no S3 client")

    return Locations((f"file://{folder}/", "s3://orders/exports/"), no_client)


def test_places_are_buckets_with_their_endpoint_and_no_credentials(locations):
    assert locations.places(["file:///drops/a.csv", "file:///more/b.csv"]) == ("file://",)
    url = "https://key:secret@s3.example:9000"
    client = boto3.client(
        "s3", "eu-west-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b"
    )
    with Locations((), lambda: client) as found:
        assert found.places(["s3://b/2.csv", "file:///c", "s3://a/1.csv", "s3://b/x/1.csv"]) == (
            "file://",
            "s3://a at https://s3.example:9000 (eu-west-1)",
            "s3://b at https://s3.example:9000 (eu-west-1)",
        )


def write(path, text="x", modified=1_767_312_000_001_000_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(modified, modified))


def test_a_folder_is_listed_recursively_by_uri(folder, locations):
    for name in ("b/2.csv", "b.csv", "b-1.csv", "2026-07/ä %41?.csv", "2026-08/1.csv"):
        write(folder / name)
    found = list(locations.list(f"file://{folder}/"))
    names = [each.uri.removeprefix(f"file://{folder}/") for each in found]
    assert names == ["2026-07/ä %41?.csv", "2026-08/1.csv", "b-1.csv", "b.csv", "b/2.csv"]
    assert found[0] == Found(
        f"file://{folder}/2026-07/ä %41?.csv",
        1,
        f"{1_767_312_000_001_000_000:x}-1",
        "2026-01-02T00:00:00.001Z",
    )
    assert locations.head(found[0].uri) == found[0]
    assert [each.uri for each in locations.list(f"file://{folder}/2026-0")] == [
        each.uri for each in found[:2]
    ]
    assert list(locations.list(f"file://{folder}/none/x")) == []


def test_links_and_special_files_are_skipped_and_named(folder, locations, caplog):
    write(folder / "real.csv", "1")
    (folder / "inside.csv").symlink_to("real.csv")
    (folder / "dangling.csv").symlink_to("nothing.csv")
    (folder / "out.csv").symlink_to("../private/secret.csv")
    (folder / "folder").symlink_to("../private")
    (folder / "loop").symlink_to(".")
    os.mkfifo(folder / "pipe.csv")
    write(folder / os.fsdecode(b"\xe9t\xe9.csv"))
    listed = [each.uri.rpartition("/")[2] for each in locations.list(f"file://{folder}/")]
    assert listed == ["inside.csv", "real.csv"]
    assert f"5 entries under file://{folder}/ were skipped" in caplog.text
    assert f"First: {folder}/folder." in caplog.text


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("out.csv", ItemRefused, "leads out"),
        ("folder/secret.csv", ItemRefused, "leads out"),
        ("pipe.csv", ItemRefused, "not a regular file"),
        ("loop.csv", ItemRefused, "Too many levels of symbolic links"),
        ("sub", ItemRefused, "not a regular file"),
        ("none.csv", FileNotFoundError, "none.csv"),
        ("real.csv/x", FileNotFoundError, "real.csv/x"),
        ("../private/secret.csv", BadInput, r"'file:.*secret\.csv' has .* '\.\.' as a folder"),
        ("sub/./1.csv", BadInput, r"has .* '\.' or"),
        ("\0", BadInput, r"x00' has a NUL character"),
    ],
)
def test_only_regular_files_of_the_folder_are_opened(folder, locations, name, error, text):
    write(folder / "real.csv")
    write(folder / "sub" / "1.csv")
    (folder / "out.csv").symlink_to("../private/secret.csv")
    (folder / "folder").symlink_to("../private")
    (folder / "loop.csv").symlink_to("loop.csv")
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(error, match=text), locations.open(f"file://{folder}/{name}"):
        pytest.fail("it was opened")


def test_a_folder_that_becomes_a_link_after_its_check_is_not_followed(
    folder, locations, monkeypatch
):
    write(folder / "sub" / "secret.csv")
    check = locations._real

    def checked(path):
        real = check(path)
        (folder / "sub").rename(folder / "moved")
        (folder / "sub").symlink_to("../private")
        return real

    monkeypatch.setattr(locations, "_real", checked)
    with (
        pytest.raises(FileNotFoundError),
        locations.open(f"file://{folder}/sub/secret.csv") as (_, stream),
    ):
        pytest.fail(str(stream.read()))


@pytest.mark.parametrize(
    "uri",
    [
        "s3://orders/other/1.csv",
        "s3://orders",
        "file:///etc/passwd",
        "file://host/etc/passwd",
        "/etc/passwd",
        "https://example.org/1.csv",
    ],
)
@pytest.mark.parametrize("method", ["list", "head", "open"])
def test_other_buckets_and_folders_are_refused_with_the_way_out(locations, uri, method):
    with pytest.raises(
        BadInput, match=r"from 'file://.*s3://orders/exports/' only.*FANFOLD_FILES_"
    ):
        getattr(locations, method)(uri).__enter__()


def test_a_file_that_changes_while_it_is_read_is_refused(folder, locations):
    write(folder / "1.csv", "a,b\n")

    def read_slowly():
        with locations.open(f"file://{folder}/1.csv", 2) as (found, stream):
            assert (found.size, stream.read()) == (4, b"b\n")
            write(folder / "1.csv", "a,b\n1,2\n")

    with pytest.raises(ItemRefused, match="changed"):
        read_slowly()


def test_an_allowed_folder_that_is_not_mounted_is_an_error(folder, locations):
    folder.rmdir()
    with pytest.raises(BadConfiguration, match=f"{folder}.*does not exist: mount it"):
        list(locations.list(f"file://{folder}/2026/"))
