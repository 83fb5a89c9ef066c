"""The page in a real browser: drawn, readable, and nothing leaves the origin."""

import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from projections.app import application
from projections.keys import Keys
from projections.page.figures import CAUSES, CLASSES, STEPS
from projections.store import Store
from tests.ports import free_port
from tests.projections.histories import funnel_of, history
from tests.projections.test_app import KEYS, parts_of
from tests.projections.test_views import load

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.clickhouse,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine"),
]


@pytest.fixture
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(argument)
    options.add_argument("--window-size=1200,1600")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def origin(embedded: Store) -> Iterator[str]:
    """The page over a socket, in this process: the store takes no second one."""
    port = free_port()
    config = uvicorn.Config(application(parts_of(embedded), Keys(KEYS)), port=port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def said_by(browser: Any, what: str) -> list[dict[str, Any]]:
    """One of the browser's logs; selenium leaves this one untyped."""
    log: list[dict[str, Any]] = browser.get_log(what)
    return log


def asked_for(browser: webdriver.Chrome) -> list[str]:
    """Every address the page made the browser ask for."""
    said = [orjson.loads(entry["message"])["message"] for entry in said_by(browser, "performance")]
    return [str(one["params"]["request"]["url"]) for one in said if one["method"] == "Network.requestWillBeSent"]


def test_the_page_is_drawn_with_readable_labels_and_asks_nobody_else(
    browser: webdriver.Chrome, origin: str, embedded: Store
) -> None:
    at = int(time.time())  # noqa: TID251 the views judge by the engine's clock
    told = history(31, at, pairs=200)
    load(embedded, told.delivered(31))
    browser.get(f"http://{':'.join(KEYS[0])}@{origin}/")
    WebDriverWait(browser, 60).until(lambda one: len(one.find_elements(By.CSS_SELECTOR, "[data-drawn=yes]")) == 3)

    texts = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "svg text") if one.text]
    truth = funnel_of(told.requests, at)
    for words in (*STEPS.values(), *(words for words, _ in CLASSES.values()), CAUSES["expired"]):
        assert words in texts
    for step in STEPS:
        assert any(text.replace(",", "").startswith(str(truth[step])) for text in texts), step
    for place in browser.find_elements(By.CSS_SELECTOR, "[data-figure]"):
        box = place.rect
        for label in place.find_elements(By.CSS_SELECTOR, "svg text"):
            if label.text:  # inside its figure, and large enough to be read
                assert box["x"] - 1 <= label.rect["x"] <= box["x"] + box["width"]
                assert box["y"] - 1 <= label.rect["y"] <= box["y"] + box["height"]
                assert label.rect["height"] >= 10

    addresses = asked_for(browser)
    assert any("/assets/plotly." in address for address in addresses)
    strangers = [one for one in addresses if origin not in one and not one.startswith("data:")]
    assert strangers == []
    # The map library inside plotly may not bring its style sheet; the page draws no maps. Nothing else is amiss.
    complaints = [entry["message"] for entry in said_by(browser, "browser")]
    assert [one for one in complaints if "plotly." not in one or "inline style" not in one] == []
    assert len(complaints) <= 1


def test_the_empty_page_loads_without_a_complaint(browser: webdriver.Chrome, origin: str) -> None:
    browser.get(f"http://{':'.join(KEYS[0])}@{origin}/")
    assert "No data yet" in browser.find_element(By.ID, "empty").text
    assert said_by(browser, "browser") == []
    assert [one for one in asked_for(browser) if origin not in one and not one.startswith("data:")] == []
