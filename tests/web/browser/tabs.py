"""A tab of a real browser on the page, as the browser tests use it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request

PATIENCE_MS = 15_000
# Chromium reports every answer that is no success; that such answers come is what some tests are about.
_REPORTED = "Failed to load resource"
_WATCH = """
window.shifts = 0;
window.violations = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifts += one.value;
}).observe({ type: "layout-shift", buffered: true });
addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
});
"""
_TRANSFER = """
([data, name, type]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  return transfer;
}
"""


@dataclass
class Tab:
    """The page in a tab.

    Attributes:
        page: Playwright's.
        url: of the server, without a slash at the end.
        trouble: what the browser complained about; empty at the end of every test.
    """

    page: Page
    url: str
    trouble: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.add_init_script(_WATCH)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.trouble.append(f"uncaught: {error}"))
        self.page.on("request", self._asked)
        self.page.on("dialog", self._surprised)
        # Who waits for file dialogues from the beginning cannot miss one.
        self.page.on("filechooser", lambda _: None)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and _REPORTED not in message.text:
            self.trouble.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("blob", "data") and f"{parts.scheme}://{parts.netloc}" != self.url:
            self.trouble.append(f"asked somebody else: {request.url}")

    def _surprised(self, dialog: Any) -> None:
        self.trouble.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def complaints(self) -> list[str]:
        """Everything that the browser complained about so far, violations of the security policy included."""
        return self.trouble + [f"policy: {one}" for one in self.page.evaluate("window.violations ?? []")]

    def shifts(self) -> float:
        """How much was moved under the reader's eyes (cumulative layout shift), once all pictures are there."""
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return float(self.page.evaluate("window.shifts"))

    # Doing

    def open(self, path: str = "/") -> Tab:
        """Go to a page."""
        self.page.goto(self.url + path)
        return self

    def upload(self, data: bytes, name: str = "photo.png", media: str = "image/png") -> Tab:
        """Choose a file."""
        self.page.set_input_files("#picture", {"name": name, "mimeType": media, "buffer": data})
        return self

    def send(self, event: str, kind: str, transfer: Any, key: str) -> None:
        """Let an event of that kind carry a DataTransfer to the page's body."""
        self.page.evaluate(
            "([event, kind, key, transfer]) => document.body.dispatchEvent("
            "new window[kind](event, { bubbles: true, cancelable: true, [key]: transfer }))",
            [event, kind, key, transfer],
        )

    def transfer(self, data: bytes, name: str = "photo.png", media: str = "image/png") -> Any:
        """A DataTransfer with a file."""
        return self.page.evaluate_handle(_TRANSFER, [base64.b64encode(data).decode(), name, media])

    # Seeing

    def see(self, selector: str) -> Locator:
        """A part of the page."""
        return self.page.locator(selector)

    def done(self) -> Tab:
        """Wait until results are shown."""
        self.page.wait_for_selector('#results[data-state="done"]')
        return self

    def refused(self) -> str:
        """Wait until an error is shown; return its words."""
        self.page.wait_for_selector('#results[data-state="error"] .notice')
        return self.see("#say .notice").inner_text()

    def names(self) -> list[str]:
        """The names of the found products, best first."""
        return [name.split(" (opens")[0] for name in self.see(".card-name").all_text_contents()]

    def categories(self) -> set[str]:
        """The categories of the found products."""
        return set(self.see(".card-category").all_text_contents())

    def pressed(self) -> list[str]:
        """The chips that are pressed, by their names."""
        return self.see('#chips [aria-pressed="true"] .chip-name').all_text_contents()

    @property
    def address(self) -> str:
        """What the address bar shows after the host."""
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def focused(self) -> str:
        """What has the keyboard's focus: its id, or its text."""
        return str(self.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))

    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than its window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def error(code: str, message: str = "Something happened.", hint: str = "Do this.") -> Mapping[str, Any]:
    """An answer of the API that says no."""
    return {"status": 503, "json": {"error": {"code": code, "message": message, "hint": hint}}}
