"""The console in a real browser: what an operator sees, presses and is shown to be proven."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Playwright, Route, expect, sync_playwright

from ledger.core.ids import Sequence
from ledger.core.proof import build_bundle, encode_bundle
from pubsub.core.rights import Scope
from pubsub.core.tokens import ApiToken, TokenFile, encode_token_file, token_digest, token_text
from tests.ledger.sample_network import GENESIS, START_MS, entry
from tests.pubsub.console.conftest import CHROMIUM
from tests.pubsub.console.console_server import console_server
from tests.pubsub.gateway_world import Chain
from tests.pubsub.live_server import Live

PAGES = ("", "events", "topics", "consumers", "webhooks")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Give the driver of browsers."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Give one headless Chromium for all tests."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    """Give a chain with twelve events in several blocks, all of them provable."""
    chain = Chain(tmp_path / "chain")
    for first in range(0, 12, 3):
        chain.extend([entry(first + more) for more in range(3)])
    chain.extend()
    chain.extend()
    return chain


@pytest.fixture
def live(tmp_path: Path, chain: Chain) -> Iterator[Live]:
    """Give a gateway over the chain whose console is open to all."""
    assert chain.store is not None
    with console_server(tmp_path) as running:
        yield running


@pytest.fixture
def page(browser: Browser, live: Live) -> Iterator[Page]:
    """Give a page at the console whose errors fail the test."""
    context = browser.new_context(base_url=live.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    assert errors == []


def picture(page: Page, name: str) -> None:
    """Keep a screenshot where somebody wants to look at it."""
    if directory := os.environ.get("CONSOLE_PICTURES"):
        page.screenshot(path=f"{directory}/{name}.png", full_page=True)


@pytest.mark.parametrize("place", PAGES)
def test_every_page_can_be_read_without_eyes(page: Page, place: str) -> None:
    """A page has a language, one heading, landmarks, named fields, a way past its navigation."""
    page.goto(f"/console/{place}")
    picture(page, place or "overview")
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("navigation").locator("[aria-current=page]")).to_have_count(1)
    for field in page.locator("input, select").all():
        assert page.locator(f"label[for='{field.get_attribute('id')}']").count() == 1
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()


def test_the_overview_shows_blocks_and_who_signed_them(page: Page) -> None:
    """The newest block is on top, with its proposer and signers."""
    page.goto("/console/")
    row = page.get_by_role("table").last.locator("tbody tr").first
    expect(row.locator("th")).to_have_text("6")
    expect(row).to_contain_text("node-0")


def test_an_event_is_shown_while_the_page_is_open(page: Page, chain: Chain) -> None:
    """What becomes final now stands on top of the list, and old rows stay."""
    page.goto("/console/events")
    rows = page.locator("#events tbody tr")
    expect(rows).to_have_count(12)
    expect(page.locator("#state")).to_have_text("following the ledger")
    chain.extend([entry(40, subject="urn:offering:<b>new</b>")])
    expect(rows.first).to_contain_text("urn:offering:<b>new</b>")
    expect(rows).to_have_count(13)


def test_conditions_hold_for_old_and_new_events(page: Page, chain: Chain) -> None:
    """The form's conditions choose rows, and what comes later is chosen by them, too."""
    page.goto("/console/events")
    page.get_by_label("Subject").fill("urn:offering:7")
    page.get_by_role("button", name="Show").click()
    rows = page.locator("#events tbody tr")
    expect(rows).to_have_count(1)
    expect(page.locator("#state")).to_have_text("following the ledger")
    chain.extend([entry(50), entry(51, subject="urn:offering:7")])
    expect(rows).to_have_count(2)


def test_the_browser_checks_and_draws_the_proof(page: Page) -> None:
    """The event's page proves it by itself and names the network that it was proven for."""
    page.goto("/console/events/5")
    expect(page.locator("#verdict")).to_contain_text("Proven: final at sequence 5")
    expect(page.locator("#genesis")).to_have_text(GENESIS.hash.hex())
    expect(page.locator("#steps li")).to_have_count(4)
    expect(page.get_by_role("img")).to_have_count(1)
    picture(page, "event")


def test_a_changed_proof_is_seen(page: Page) -> None:
    """When the gateway hands over another proof, the page says that nothing is proven."""

    def lie(route: Route) -> None:
        answer = route.fetch()
        body = bytearray(answer.body())
        body[-1] ^= 1
        route.fulfill(response=answer, body=bytes(body))

    page.route("**/proof", lie)
    page.goto("/console/events/5")
    expect(page.locator("#verdict")).to_contain_text("Not proven")
    expect(page.get_by_role("img")).to_have_count(0)


FLIP = """async ([bundle, genesis, step]) => {
  const { network, verify } = await import("/console/static/verify.js");
  const trusted = network(JSON.parse(genesis));
  const bytes = Uint8Array.from(atob(bundle), (c) => c.charCodeAt(0));
  const accepts = (data) => verify(data, trusted).then(() => true, () => false);
  const accepted = [];
  for (let bit = 0; bit < 8 * bytes.length; bit += step) {
    bytes[bit >> 3] ^= 1 << (bit & 7);
    if (await accepts(bytes)) accepted.push(bit);
    bytes[bit >> 3] ^= 1 << (bit & 7);
  }
  return [await accepts(bytes), accepted];
}"""


def test_every_changed_bit_is_refused_in_the_browser(page: Page, chain: Chain) -> None:
    """The browser's verifier takes the bundle, and none in which one bit differs."""
    with chain.store.read() as reader:
        bundle = build_bundle(reader, Sequence(5))
    assert bundle is not None
    text = base64.b64encode(encode_bundle(bundle)).decode()
    page.goto("/console/")
    whole, accepted = page.evaluate(FLIP, [text, GENESIS.to_json().decode(), 3])
    assert whole
    assert accepted == []


def test_a_dead_letter_is_shown_and_replayed(page: Page, live: Live) -> None:
    """The page of a consumer counts, lists dead letters, and its button gives one out again."""
    with httpx.Client(base_url=live.url) as http:
        made = http.post("/v1/consumers", json={"name": "billing", "start": {"policy": "first"}})
        assert made.status_code == 201, made.text
        http.post("/v1/consumers/billing/fetch", json={"max_events": 3}).raise_for_status()
        settlement = {"terminate": [{"sequence": 1, "reason": "no such product"}]}
        http.post("/v1/consumers/billing/settle", json=settlement).raise_for_status()
        page.goto("/console/consumers")
        page.get_by_role("link", name="billing").click()
        letters = page.get_by_role("table").locator("tbody tr")
        expect(letters).to_have_count(1)
        expect(letters.first).to_contain_text("no such product")
        picture(page, "consumer")
        page.get_by_role("button", name="Replay event 1").click()
        again = http.post("/v1/consumers/billing/fetch", json={"max_events": 1, "wait_ms": 2000})
        assert [row["sequence"] for row in again.json()["deliveries"]] == [1]


def test_a_session_needs_a_token_that_may_operate(
    browser: Browser, tmp_path: Path, chain: Chain
) -> None:
    """Without a session there is the form; a wrong token is refused; signing out ends it."""
    assert chain.store is not None
    good, weak = token_text(bytes(32)), token_text(bytes([1]) * 32)
    tokens = TokenFile(
        tokens=(
            make_token("boss", good, (Scope.READ, Scope.OPERATE)),
            make_token("ann", weak, (Scope.READ,)),
        )
    )
    path = tmp_path / "tokens.json"
    path.write_bytes(encode_token_file(tokens))
    path.chmod(0o600)
    with console_server(tmp_path) as live:
        context = browser.new_context(base_url=live.url)
        page = context.new_page()
        page.goto("/console/events")
        expect(page).to_have_url(f"{live.url}/console/login")
        for wrong in ("nonsense", weak):
            page.get_by_label("Access token").fill(wrong)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_be_visible()
        picture(page, "login")
        page.get_by_label("Access token").fill(good)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        (cookie,) = context.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        page.goto("/console/events/5")
        expect(page.locator("#verdict")).to_contain_text("Proven")
        page.get_by_role("button", name="Sign out").click()
        page.goto("/console/")
        expect(page).to_have_url(f"{live.url}/console/login")
        context.close()


def make_token(name: str, text: str, scopes: tuple[Scope, ...]) -> ApiToken:
    """Give what a gateway keeps of a token."""
    digest = token_digest(text)
    assert digest is not None
    return ApiToken(
        name=name,
        digest=digest.hex(),
        scopes=scopes,
        topics=None,
        made_ms=START_MS,
        made_by="test",
        expires_ms=None,
    )
