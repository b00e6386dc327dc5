"""The page in a real browser: it works, and nothing that a model or a file says can run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.text.sanitize import strip_control_characters
from tests.helpers.hostile_text import ESCAPES, NAMES, SCRIPT
from tests.helpers.waiting import WAIT_S

sync_api = pytest.importorskip("playwright.sync_api")
NAMED = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WATCH = """
window.violations = [];
addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective));
"""


class Open:
    """A loaded page and its recorded events."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.dialogs: list[str] = []
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("dialog", self.dialog)
        page.on("request", lambda request: self.requests.append(request.url[:5]))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def shown(self, selector: str = ".a") -> list[str]:
        """Texts of the elements that are not filtered away, on the screen or below it."""
        found = self.page.locator(f"{selector}:not([hidden], [hidden] *)")
        return [" ".join(text.split()) for text in found.all_text_contents()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    there = next(filter(None, map(shutil.which, NAMED)), None)
    with sync_api.sync_playwright() as playwright:
        try:
            # Our own user may be root, which Chromium's sandbox refuses.
            made = playwright.chromium.launch(executable_path=there, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"no browser to look with: {error.message.splitlines()[0]}")
        yield made
        made.close()


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Open]:
    tab = browser.new_page(viewport={"width": 1400, "height": 900})
    tab.set_default_timeout(WAIT_S * 1000)
    tab.add_init_script(WATCH)
    seen = Open(tab)
    tab.goto(report.as_uri())
    yield seen
    assert (seen.dialogs, seen.errors) == ([], [])
    assert set(seen.requests) <= {"file:", "data:"}
    tab.close()


def test_hostile_output_is_shown_as_text_and_never_runs(opened: Open) -> None:
    page = opened.page
    assert page.evaluate("violations") == []
    assert page.locator("script").count() == 1
    assert page.get_by_text(f"you said {SCRIPT}", exact=True).count() == 4 - 1
    assert (
        page.get_by_text(strip_control_characters(f"you said {ESCAPES}"), exact=True).count() == 3
    )
    for name in NAMES:
        assert page.locator("figcaption").get_by_text(name, exact=True).count() == 1
    assert page.locator(".open img").first.get_attribute("alt") in NAMES


def test_content_policy_blocks_an_injected_script(opened: Open) -> None:
    page = opened.page
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='ran = true'>");
            document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>x</p>");
        }"""
    )
    # Chromium reports blocked scripts asynchronously.
    page.wait_for_selector("p[style]")
    while len(page.evaluate("violations")) < 3:
        page.evaluate("new Promise(requestAnimationFrame)")
    assert page.evaluate("window.ran") is None


def test_search_box_filters_answers(opened: Open) -> None:
    page = opened.page
    everything = len(opened.shown())
    page.locator(".filter input[type=search]").fill("YOU SAID <script>")
    status = page.locator(".filter output")
    sync_api.expect(status).to_have_text(f"3 of {everything} answers, 2 of 4 images")
    assert [SCRIPT in text for text in opened.shown()] == [True] * 3
    page.locator(".filter input[type=search]").fill("onerror=alert(3)")
    sync_api.expect(page.locator(".card:not([hidden])")).to_have_count(1)
    assert opened.shown(".card figcaption") == [NAMES[1]]
    page.locator(".filter input[type=search]").fill("no such words")
    page.locator(".nothing button").click()
    assert len(opened.shown()) == everything


def test_filters_hide_rows(opened: Open) -> None:
    page = opened.page
    page.locator(".filter select").select_option("timeout")
    sync_api.expect(page.locator(".a:not([hidden])")).to_have_count(2)
    assert all("timeout" in text and "partial words" in text for text in opened.shown())
    page.locator(".filter select").select_option("!ok")
    page.locator(".pick summary").click()
    page.get_by_role("button", name="none").click()
    assert opened.shown() == []
    page.locator(".pick input").nth(1).check()
    sync_api.expect(page.locator(".a:not([hidden])")).not_to_have_count(0)
    assert {re.sub(r"^[\d.]+ m?s ", "", text).split()[0] for text in opened.shown()} == {"2"}
    assert not any("you said" in text for text in opened.shown())


def test_clicking_an_image_enlarges_it(opened: Open) -> None:
    page = opened.page
    small = page.locator(".card:nth-of-type(1) .open")
    small.click()
    dialog = page.locator("dialog[open]")
    assert dialog.locator("img").evaluate("e => e.complete && e.naturalWidth") == 480
    assert "640 × 480" not in dialog.inner_text()  # the file was never measured in this sweep
    first = dialog.locator("img").get_attribute("alt")
    page.keyboard.press("ArrowRight")
    assert dialog.locator("img").get_attribute("alt") != first
    assert str(dialog.locator("img").get_attribute("alt")) in dialog.inner_text()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_clicking_a_header_sorts_the_table(opened: Open) -> None:
    page = opened.page
    page.get_by_role("button", name="Load time").click()
    times = page.locator(".models td.load_s").evaluate_all("all => all.map(e => +e.dataset.v)")
    assert times == sorted(times)
    page.get_by_role("button", name="Load time").click()
    again = page.locator(".models td.load_s").evaluate_all("all => all.map(e => +e.dataset.v)")
    assert again == times[::-1]


def test_failure_opens_its_stack(opened: Open) -> None:
    failure = opened.page.locator(".failure", has_text="timeout").first
    assert not failure.locator("pre").first.is_visible()
    failure.locator("summary").click()
    assert "forever" in failure.locator("pre").first.inner_text()


def test_page_never_scrolls_sideways(opened: Open) -> None:
    page = opened.page
    page.locator(".pick summary").click()
    for width in (320, 390, 768, 1024, 1250, 1400):
        page.set_viewport_size({"width": width, "height": 800})
        # Off-screen content is laid out only after scrolling to it.
        for place in ("#models", "#plots", "#failures", "#machine", "#answers"):
            page.evaluate("place => document.querySelector(place).scrollIntoView()", place)
            assert page.evaluate("document.documentElement.scrollWidth") == width
        box = page.locator(".pick div").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
