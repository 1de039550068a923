"""The Prefect UI in a headless Chromium, operated by what a person sees: labels, buttons, dropdowns."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE_S = 120
ANSWERS, ANSWER_S = 3, 20
"""How often, and how long each time, an answer is waited for to be taken."""
OPTIONS = (
    "--headless=new",
    # Chromium refuses its sandbox to root, and CI containers often have no other user; it sees our own pages only.
    "--no-sandbox",
    # A container's /dev/shm holds 64 MB.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--window-size=1400,1400",
)


def missing() -> str:
    """What is not installed; empty where a browser can be driven."""
    lacking = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"{', '.join(lacking)} not found: apt-get install chromium chromium-driver" if lacking else ""


DIALOG = "//*[@role='dialog']"


@dataclass(frozen=True)
class Asked:
    """What a person was asked in the UI."""

    text: str
    preset: str
    """The decision that stood there already."""


@contextmanager
def browser() -> Iterator["Ui"]:
    """A fresh browser; skips the test where there is none."""
    if why := missing():
        pytest.skip(why)
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for option in OPTIONS:
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=Driver(str(shutil.which("chromedriver"))))
    try:
        yield Ui(driver)
    finally:
        driver.quit()


@dataclass(frozen=True)
class Ui:
    """One browser window."""

    driver: webdriver.Chrome

    def open(self, url: str) -> None:
        self.driver.get(url)

    def find(self, xpath: str) -> WebElement:
        """The first visible element, waited for."""

        def visible(driver: webdriver.Chrome) -> WebElement | None:
            return next((one for one in driver.find_elements(By.XPATH, xpath) if one.is_displayed()), None)

        waiting = WebDriverWait(self.driver, PATIENCE_S, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(visible, f"{xpath} never came")

    def press(self, xpath: str) -> None:
        """Click it; once more where the page was drawn anew, or was covered, between the look and the click."""

        def pressed(_driver: webdriver.Chrome) -> bool:
            self.find(xpath).click()
            return True

        ignored = [StaleElementReferenceException, ElementClickInterceptedException]
        WebDriverWait(self.driver, PATIENCE_S, ignored_exceptions=ignored).until(pressed, f"{xpath} cannot be clicked")

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    def shot(self, path: Path) -> None:
        """A picture of the page, for a person who looks into a failure."""
        self.driver.save_screenshot(str(path))

    def log_in(self, credentials: str) -> None:
        self.find("//input[@type='password']").send_keys(credentials, Keys.ENTER)
        self.find("//a[normalize-space()='Deployments']")

    def click(self, label: str, *, within: str = "") -> None:
        """A button, link or line of a menu, by its text; the last one, since menus and dialogs come on top."""
        named = f"[normalize-space()='{label}']"
        kinds = "self::button or self::a or @role='menuitem'"
        self.press(f"({within}//*[{kinds}]{named})[last()]")

    def field(self, label: str, *, within: str = "") -> WebElement:
        """The control that a label is for."""
        labelled = self.find(f"{within}//label[starts-with(normalize-space(), '{label}')]")
        return self.find(f"//*[@id='{labelled.get_attribute('for')}']")

    def choices(self, label: str, *, within: str = "") -> tuple[str, ...]:
        """What a dropdown offers; it is open afterwards."""
        self.field(label, within=within).click()
        self.find("//*[@role='option']")
        return tuple(one.text for one in self.driver.find_elements(By.XPATH, "//*[@role='option']"))

    def choose(self, option: str) -> None:
        """An option of the open dropdown."""
        self.press(f"//*[@role='option'][normalize-space()='{option}']")

    def resume(self, page: str, *, decision: str, approver: str, comment: str) -> Asked:
        """Answer the question of the suspended run whose page this is."""
        self.open(page)
        self.press("//button[@aria-haspopup='menu']")
        self.click("Resume")
        asked = Asked(text=self.find(DIALOG).text, preset=self.field("Decision", within=DIALOG).text)
        self._fill(decision=decision, approver=approver, comment=comment)
        for _attempt in range(ANSWERS):
            self.click("Resume", within=DIALOG)
            try:
                # The dialog goes once the server has the answer; until then the browser must not be closed.
                WebDriverWait(self.driver, ANSWER_S).until_not(lambda driver: driver.find_elements(By.XPATH, DIALOG))
            except TimeoutException:
                # A page that is drawn anew meanwhile swallows the click.
                if self.field("Decision", within=DIALOG).text != decision:
                    self._fill(decision=decision, approver=approver, comment=comment)
            else:
                return asked
        raise AssertionError(f"{page} does not take the answer:\n{self.text}")

    def _fill(self, *, decision: str, approver: str, comment: str) -> None:
        self.choices("Decision", within=DIALOG)
        self.choose(decision)
        for label, text in (("Approver", approver), ("Comment", comment)):
            field = self.field(label, within=DIALOG)
            field.clear()
            field.send_keys(text)
