"""What the other tests of this folder rely on: that a page's faults are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import browsing

pytestmark = pytest.mark.browser

FAULTY = """<!doctype html><meta charset=utf-8>
<style>body { background: white } @media (prefers-color-scheme: dark) { body { background: black } }
</style>
<script>
console.warn("only a warning");
console.error("said to be wrong");
new WebSocket("ws://192.0.2.1/socket").onerror = () => 0;
fetch("data:text/plain,inside");
setTimeout(() => { throw new Error("thrown and not caught") });
</script>
<img src="http://192.0.2.1/outside.png">
"""


def test_faults_of_a_page_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "faulty.html"
    path.write_text(FAULTY, encoding="utf-8")
    with browsing(size=(300, 200)) as page:
        page.page.route("http://192.0.2.1/*", lambda route: route.abort())
        page.open(path)
        page.wait_until(lambda: len(page.errors) >= 3, "all errors")
        page.wait_until(lambda: len(page.outside) >= 2, "all requests")
        said = " ".join(page.errors)
        assert "said to be wrong" in said
        assert "thrown and not caught" in said
        assert "outside.png" in said
        assert "only a warning" not in said
        assert sorted(page.outside) == ["http://192.0.2.1/outside.png", "ws://192.0.2.1/socket"]
        with pytest.raises(AssertionError, match="the impossible: not within"):
            page.wait_until(lambda: False, "the impossible", timeout_s=0.2)


def test_page_sees_the_colour_scheme_and_size_that_were_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "plain.html"
    path.write_text(FAULTY.split("<script>")[0], encoding="utf-8")
    for scheme, grey in (("light", 255), ("dark", 0)):
        with browsing(scheme, (300, 200)) as page:
            page.open(path)
            pixels = page.screenshot(tmp_path / "page.png")
            assert pixels.shape == (200, 300, 3)
            assert (pixels == grey).all()
            assert (tmp_path / "page.png").is_file()
            assert page.errors == page.outside == []
