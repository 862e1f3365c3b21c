"""A person's way through the studio, in a real browser: every page in light and dark, and nothing goes wrong."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.browser import ROOT, Watch, open_page, running_browser, running_studio, settle
from tests.support.studio_api import DONE_RUN, EMAIL, FAILED_RUN, PASSWORD, FakePlatform, fake_platform

pytestmark = pytest.mark.peer

SHOTS = ROOT / "dist" / "studio"
VIEW = {"width": 1440, "height": 1000}
TICK_BYTES = 20_000
NAVIGATION_S = 1.0
SLOW_ANSWERS = Path(__file__).with_name("slow_answers.js")


@pytest.fixture(scope="module")
def platform() -> Iterator[FakePlatform]:
    with fake_platform() as running:
        yield running


@pytest.fixture(scope="module")
def studio(platform: FakePlatform) -> Iterator[str]:
    with running_studio(platform.url) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture
def watch(studio: str) -> Iterator[Watch]:
    """Fails the test that made something go wrong on its pages."""
    watching = Watch(studio)
    yield watching
    assert watching.faults == []


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport=VIEW)  # pyright: ignore[reportArgumentType]  # a plain dict is fine
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    return open_page(context, watch)


def sign_in(page: Page) -> None:
    page.get_by_role("textbox", name="E-mail").fill(EMAIL)
    page.get_by_role("textbox", name="Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Ada Lovelace")).to_be_visible()
    settle(page)


def open_signed_in(page: Page, address: str) -> None:
    page.goto(address)
    sign_in(page)


def shoot(page: Page, name: str) -> None:
    settle(page)
    page.get_by_test_id("stMain").evaluate("element => element.scrollTo(0, 0)")
    page.wait_for_timeout(700)  # charts draw after the script has ended
    SHOTS.mkdir(parents=True, exist_ok=True)
    path: Path = SHOTS / f"{name}.png"
    page.screenshot(path=path)
    assert path.stat().st_size > 10_000


def test_sign_in_run_a_flow_and_watch_it_to_the_end(page: Page, studio: str, platform: FakePlatform) -> None:
    open_signed_in(page, f"{studio}/flows")
    page.get_by_role("link", name="support-triage").click()
    expect(page.get_by_role("heading", name="support-triage")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^draft, llm"))).to_be_visible()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("textbox", name="ticket").fill("My invoice shows the wrong VAT rate.")
    page.get_by_role("button", name="Run version 7").click()

    draft = page.get_by_role("button", name=re.compile("^draft, "))
    expect(draft).to_have_attribute("aria-label", re.compile("running"), timeout=10_000)
    assert "run=" in page.url
    expect(draft).to_have_attribute("aria-label", re.compile("succeeded"), timeout=15_000)
    expect(page.get_by_test_id("stMetric").filter(has_text="Status")).to_contain_text("Succeeded", timeout=15_000)
    settle(page)

    run_id = page.url.split("run=")[1].split("&")[0]
    page.wait_for_timeout(1000)
    asked = len(platform.requests)
    page.wait_for_timeout(5000)
    assert [line for line in platform.requests[asked:] if run_id in line] == []


def test_a_step_is_chosen_by_keyboard_and_by_click_and_focus_survives_refreshes(
    page: Page, studio: str, platform: FakePlatform
) -> None:
    run = platform.start_live()
    open_signed_in(page, f"{studio}/run?run={run.run_id}")
    first = page.get_by_role("button", name=re.compile("^classify, "))
    first.focus()
    page.keyboard.press("ArrowRight")
    draft = page.get_by_role("button", name=re.compile("^draft, "))
    expect(draft).to_be_focused()
    page.keyboard.press("Enter")
    expect(draft).to_have_attribute("aria-pressed", "true")
    expect(page).to_have_url(re.compile("node=draft"))
    expect(page.get_by_role("heading", name="draft")).to_be_visible()
    page.wait_for_timeout(4500)
    expect(draft).to_be_focused()

    page.get_by_role("button", name=re.compile("^judge, ")).click()
    expect(page).to_have_url(re.compile("node=judge"))
    expect(page.get_by_role("heading", name="judge")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Run", exact=True)).to_be_visible()


def test_a_refresh_with_the_address_from_before_a_click_does_not_undo_the_click(
    page: Page, studio: str, platform: FakePlatform
) -> None:
    page.add_init_script(path=SLOW_ANSWERS)
    run = platform.start_live(at_s=4.5, speed=0.05)  # draft has ended, judge runs for half a minute
    open_signed_in(page, f"{studio}/run?run={run.run_id}&node=classify")
    expect(page.get_by_role("heading", name="classify")).to_be_visible()
    page.evaluate("window.answersTakeMs = 2500")
    asked = len(platform.requests)
    page.get_by_role("button", name=re.compile("^draft, ")).click()
    page.wait_for_timeout(4500)
    page.evaluate("window.answersTakeMs = 0")
    expect(page).to_have_url(re.compile("node=draft"))
    expect(page.get_by_role("heading", name="draft")).to_be_visible()
    since = platform.requests[asked:]
    first = next(at for at, line in enumerate(since) if "call-draft" in line)
    assert [line for line in since[first:] if "call-classify" in line] == []
    page.go_back()
    expect(page.get_by_role("heading", name="classify")).to_be_visible()


def test_only_ctrl_and_wheel_zoom_the_graph(page: Page, studio: str) -> None:
    open_signed_in(page, f"{studio}/run?run={DONE_RUN}")
    world = page.locator("svg.canvas > g")
    before = world.get_attribute("transform")
    box = page.locator("svg.canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -120)
    page.wait_for_timeout(200)
    assert world.get_attribute("transform") == before

    page.keyboard.down("Control")
    page.mouse.wheel(0, -240)
    page.keyboard.up("Control")
    expect(world).not_to_have_attribute("transform", before or "")


def test_a_reload_keeps_the_session_and_signing_out_ends_it(
    page: Page, context: BrowserContext, studio: str, platform: FakePlatform
) -> None:
    open_signed_in(page, f"{studio}/runs?window=7d&status=failed")
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Ada Lovelace")).to_be_visible()
    assert "status=failed" in page.url
    cookie = next(each for each in context.cookies() if each.get("name") == "mb_session")
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Lax")
    tokens = set(platform.tokens)

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert len(platform.tokens) == len(tokens) - 1
    assert not any(each.get("name") == "mb_session" for each in context.cookies())


def test_hostile_text_stays_text(page: Page, studio: str) -> None:
    open_signed_in(page, f"{studio}/run?run={FAILED_RUN}")
    expect(page.get_by_text("<script>window.hacked = true</script>")).to_be_visible()

    assert page.evaluate("() => window.hacked") is None


def test_every_page_in_light_and_dark(browser: Browser, watch: Watch, studio: str, theme: str) -> None:
    context = browser.new_context(viewport=VIEW, color_scheme="dark" if theme == "dark" else "light")  # pyright: ignore[reportArgumentType]  # a plain dict is fine
    page = open_page(context, watch)
    page.goto(f"{studio}/flows")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    shoot(page, f"login_{theme}")
    sign_in(page)
    expect(page.get_by_role("link", name="nightly-check")).to_be_visible()
    shoot(page, f"flows_{theme}")
    for name, path, heading in (
        ("flow", "/flow?flow=support-triage", "support-triage"),
        ("runs", "/runs?window=7d", "Runs"),
        ("run", f"/run?run={DONE_RUN}&node=draft", "support-triage"),
        ("run_failed", f"/run?run={FAILED_RUN}", "support-triage"),
    ):
        page.goto(f"{studio}{path}")
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        if name == "run":
            page.get_by_role("tab", name="Routing").click()
            expect(page.get_by_role("cell", name="anthropic/claude-haiku")).to_be_visible()
        shoot(page, f"{name}_{theme}")
    context.close()


def test_pages_change_and_refresh_within_their_budgets(
    page: Page, studio: str, watch: Watch, platform: FakePlatform
) -> None:
    open_signed_in(page, f"{studio}/flows")
    took: list[float] = []
    for target in ("Runs", "Flows", "Runs", "Flows"):
        begin = time.monotonic()
        page.get_by_test_id("stSidebarNav").get_by_role("link", name=target).click()
        expect(page.get_by_role("heading", name=target)).to_be_visible()
        took.append(time.monotonic() - begin)
        settle(page)
    assert min(took) < NAVIGATION_S

    run = platform.start_live()
    page.goto(f"{studio}/run?run={run.run_id}")
    expect(page.get_by_role("button", name=re.compile("^draft, "))).to_be_visible()
    settle(page)
    page.wait_for_timeout(500)
    begin = time.monotonic()
    page.wait_for_timeout(1900)
    tick = sum(size for moment, size in watch.frames if moment >= begin)
    assert 0 < tick < TICK_BYTES
