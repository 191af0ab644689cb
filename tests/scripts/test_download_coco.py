"""COCO from a server that breaks off, begins anew, has another archive or is not there."""

import hashlib
import http.server
import re
import sys
import threading
import zipfile

import pytest
from conftest import ROOT

from fast_style.errors import FastStyleError

sys.path.insert(0, str(ROOT / "scripts"))

import download_coco
from download_coco import Archive, main


class Server(http.server.BaseHTTPRequestHandler):
    """One file, of which a connection carries `patience` bytes and breaks off; what a class attribute says of it."""

    content, patience, ranges, status = b"", 10**9, True, 200
    requests: list[str | None] = []

    def do_GET(self):
        wanted = self.headers["Range"]
        self.requests.append(wanted)
        if self.status != 200 or self.path != "/zips/val2017.zip":
            return self.send_error(self.status if self.status != 200 else 404)
        first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and self.ranges else 0
        self.send_response(206 if wanted and self.ranges else 200)
        if wanted and self.ranges:
            self.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        self.send_header("Content-Length", str(len(self.content) - first))
        self.end_headers()
        self.wfile.write(self.content[first : first + self.patience])

    def log_message(self, *_):
        pass


@pytest.fixture
def archive(tmp_path):
    """A small archive in COCO's layout, as bytes."""
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as zipped:
        zipped.mkdir("val2017/")
        for index in range(3):
            zipped.writestr(f"val2017/{index}.jpg", bytes([index]) * 3000)
    return (tmp_path / "made.zip").read_bytes()


@pytest.fixture
def get(archive, tmp_path, monkeypatch):
    """get(*arguments, **server): the script against such a server; the Range of each request."""
    monkeypatch.setitem(download_coco.ARCHIVES, "val2017", Archive(len(archive), hashlib.md5(archive).hexdigest()))
    monkeypatch.setattr(download_coco, "WAITS", (0, 0))

    def run(*arguments, **attributes):
        handler = type("Handler", (Server,), {"content": archive, "requests": [], **attributes})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            run.requests = handler.requests
            mirror = f"http://127.0.0.1:{server.server_port}/zips/"
            try:
                main([str(tmp_path / "coco"), "--split=val2017", f"--mirror={mirror}", *arguments])
            finally:
                server.shutdown()
        return handler.requests

    return run


def test_a_broken_connection_is_taken_up_where_it_broke(get, archive, tmp_path, capsys):
    requests = get(patience=4000)
    assert requests == [None, "bytes=4000-", "bytes=8000-"]
    assert (tmp_path / "coco" / "val2017.zip").read_bytes() == archive
    assert f"train.py data=folder data.root={tmp_path / 'coco' / 'val2017.zip'}" in capsys.readouterr().out
    assert get() == [], "what is there is not fetched again"


def test_a_download_that_was_stopped_goes_on(get, archive, tmp_path):
    part = tmp_path / "coco" / "val2017.zip.part"
    part.parent.mkdir()
    part.write_bytes(archive[:5000])
    assert get() == ["bytes=5000-"]
    assert part.with_suffix("").read_bytes() == archive and not part.exists()


def test_a_server_that_knows_no_ranges_begins_anew(get, archive, tmp_path):
    part = tmp_path / "coco" / "val2017.zip.part"
    part.parent.mkdir()
    part.write_bytes(archive[:5000])
    assert get(ranges=False) == ["bytes=5000-"]
    assert part.with_suffix("").read_bytes() == archive


def test_a_connection_that_brings_nothing_ends_with_what_is_there(get, archive, tmp_path):
    """The first request brings some, and no other does."""

    class Ending(bytes):
        def __getitem__(self, part):
            return bytes(self)[part] if part.start == 0 else b""

    with pytest.raises(FastStyleError, match="the connection was closed. Start again .* --mirror URL"):
        get(content=Ending(archive), patience=6000)
    assert get.requests == [None, "bytes=6000-", "bytes=6000-"]
    assert (tmp_path / "coco" / "val2017.zip.part").read_bytes() == archive[:6000]
    assert get() == ["bytes=6000-"]


def test_a_damaged_archive_is_not_kept(get, archive, tmp_path):
    damaged = archive[:100] + b"?" + archive[101:]
    with pytest.raises(FastStyleError, match=f"its MD5 is {hashlib.md5(damaged).hexdigest()}, not .*start again"):
        get(content=damaged)
    assert not list((tmp_path / "coco").iterdir())
    get()


def test_another_archive_is_not_fetched(get, archive, tmp_path):
    size = f"{len(archive) + 1:,}"
    with pytest.raises(FastStyleError, match=f"val2017.zip: has {size} bytes, where COCO's archive has"):
        get(content=archive + b"?")
    assert not list((tmp_path / "coco").iterdir())


def test_unpacked(get, archive, tmp_path):
    get("--unzip")
    photos = sorted((tmp_path / "coco" / "val2017").iterdir())
    assert [photo.read_bytes() for photo in photos] == [bytes([index]) * 3000 for index in range(3)]
    photos[1].write_bytes(b"half")
    before = photos[0].stat().st_mtime_ns
    assert get("--unzip") == []
    assert photos[1].read_bytes() == bytes([1]) * 3000 and photos[0].stat().st_mtime_ns == before


@pytest.mark.parametrize("status, reason", [(404, "404 Not Found"), (503, "503 Service Unavailable")])
def test_a_server_without_it(get, status, reason):
    with pytest.raises(FastStyleError, match=f"val2017.zip: the server says {reason}"):
        get(status=status)
    assert get.requests == [None]


def test_no_server(tmp_path):
    with pytest.raises(
        FastStyleError, match="http://127.0.0.1:9/val2017.zip: .*refused. Start again when .*http_proxy"
    ):
        main([str(tmp_path), "--split=val2017", "--mirror=http://127.0.0.1:9"])
    with pytest.raises(FastStyleError, match="--mirror mirror.org: must begin with http://"):
        main([str(tmp_path), "--mirror=mirror.org"])


def test_no_room(tmp_path, monkeypatch):
    """Before a byte is fetched, and twice as much for what is unpacked as well."""
    monkeypatch.setattr(download_coco.shutil, "disk_usage", lambda folder: shutil_usage(20e9))
    with pytest.raises(FastStyleError, match=r"38.7 GB are needed, and 20.0 GB are free"):
        main([str(tmp_path), "--mirror=http://127.0.0.1:9", "--unzip"])
    (tmp_path / "train2017").write_text("")
    monkeypatch.setattr(download_coco.shutil, "disk_usage", lambda folder: shutil_usage(19e9))
    with pytest.raises(FastStyleError, match=r"19.3 GB are needed, and 19.0 GB are free"):
        main([str(tmp_path), "--mirror=http://127.0.0.1:9"])


def shutil_usage(free):
    return download_coco.shutil._ntuple_diskusage(0, 0, int(free))


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FastStyleError, match="file/coco: cannot be written: Not a directory"):
        main([str(tmp_path / "file" / "coco"), "--split=val2017"])
