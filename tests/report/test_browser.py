"""The report in a browser: what a reader sees, points at, chooses, and reaches by keys."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright import sync_api

from flow.report import comparison_page
from flow.report.files import Results
from tests.report.test_files import finished

pytestmark = [pytest.mark.slow, pytest.mark.pictures]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 60_000
"""For a machine that does much else."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # with NEED_BROWSER, as in .ci/run, a browser that is missing is a failure
    if CHROMIUM is None:
        missing = pytest.fail if os.environ.get("NEED_BROWSER") else pytest.skip
        missing("Chromium is not installed (Debian's package: chromium)")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, timeout=WAIT_MS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("walks")
    names = ("first", "</script><b>x")
    folders = [finished(root / f"{number}", model=name) for number, name in enumerate(names)]
    comparison_page.write(root / "comparison.html", [Results.read(f) for f in folders])
    return {"walk": folders[0] / "report.html", "comparison": root / "comparison.html"}


@pytest.fixture
def visit(browser, pages) -> Iterator[Any]:
    """Open a page without a network; the test fails if its console told of an error."""
    wrong: list[str] = []
    opened = []

    def open_page(name: str, **settings: Any) -> Any:
        context = browser.new_context(offline=True, **settings)
        opened.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(pages[name].as_uri())
        return page

    yield open_page
    for context in opened:
        context.close()
    assert not wrong


def test_every_point_of_every_site_is_drawn(visit) -> None:
    page = visit("walk")
    charts = page.locator("#walk-charts .chart")
    assert charts.count() == 3 and page.locator("svg.network .node").count() == 8
    for side in ("software", "golden", "rtl"):
        # seven levels, and μ in its lane
        assert charts.first.locator(f".side-{side} .mark").count() == 8, side
    assert charts.first.locator(".side-rtl .fit").count() == 0
    assert page.locator("#repeats-charts .side-golden .mark").count() == 2


def test_pointing_tells_the_figures_of_the_table(visit) -> None:
    page = visit("walk")
    mark = page.locator("#walk-charts .chart").first.locator(".side-software .mark").nth(3)
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    tip = page.locator("#walk-charts .tip").first
    assert not tip.is_visible()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tip.wait_for(state="visible")
    told = tip.text_content()
    assert "images" in told and "[" in told
    figure = told.split(": ")[1].split(",")[0]  # as the table has it
    assert figure in page.locator("details").last.text_content()
    page.mouse.move(0, 0)
    tip.wait_for(state="hidden")


def test_sites_and_curves_can_be_chosen(visit) -> None:
    page = visit("walk")
    charts = page.locator("#walk-charts .chart")
    choices = page.locator(".choices").first
    choices.get_by_label("conv1.acc").uncheck()
    assert [charts.nth(i).is_visible() for i in range(3)] == [True, False, True]
    choices.get_by_label("golden").uncheck()
    assert charts.first.locator(".side-golden").count() == 0
    assert charts.first.locator(".side-rtl").count() == 1
    choices.get_by_label("hardware's draws").check()
    assert charts.first.locator(".side-software-hwdraws").count() == 1


def test_keys_walk_along_points_and_zoom(visit) -> None:
    page = visit("walk")
    stage = page.locator("#walk-charts .stage").first
    tip = page.locator("#walk-charts .tip").first
    stage.focus()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
        seen.append(tip.text_content())
    assert len(set(seen)) == 3 and "golden (integer model, not simulated)" in seen[2]
    labels = stage.locator("text").all_text_contents()
    page.keyboard.press("+")
    assert stage.locator("text").all_text_contents() != labels
    page.keyboard.press("0")
    assert stage.locator("text").all_text_contents() == labels


def test_a_drag_zooms_in_and_a_double_click_out(visit) -> None:
    page = visit("walk")
    stage = page.locator("#walk-charts .stage").first
    stage.scroll_into_view_if_needed()
    box, labels = stage.bounding_box(), stage.locator("text").all_text_contents()
    page.mouse.move(box["x"] + 90, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 150, steps=3)
    page.mouse.up()
    assert stage.locator("text").all_text_contents() != labels
    stage.dblclick(position={"x": 150, "y": 100})
    assert stage.locator("text").all_text_contents() == labels


def test_runs_are_compared_and_names_do_no_harm(visit) -> None:
    page = visit("comparison")
    first = page.locator("#walks-charts .chart").first
    assert first.locator(".side-golden").count() == 2
    page.get_by_label("1: first").uncheck()
    assert first.locator(".side-golden").count() == 1
    assert page.get_by_label("</script><b>x").count() == 1 and page.locator("b b").count() == 0


@pytest.mark.parametrize("name", ["walk", "comparison"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit, name: str, scheme: str) -> None:
    """In the dark colours alone are other than in the light."""
    page = visit(name, color_scheme=scheme)
    rules = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}
    found = Axe().run(page, options=rules).response["violations"]
    assert [(one["id"], one["impact"], len(one["nodes"])) for one in found] == []


def test_a_narrow_page_does_not_scroll_sideways(visit) -> None:
    page = visit("walk", viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_is_readable_without_scripts(visit) -> None:
    page = visit("walk", java_script_enabled=False)
    assert page.locator("noscript img").is_visible()
