"""Uses the page in headless Chromium as a person would, and compares the numbers it shows with the server's own.

    python test_page.py --maana target/debug/maana --chromium /usr/bin/chromium [--model MODEL] [--screenshots DIR]

Starts `maana serve` with an index and a classifier, and others with keys, with a model only, and with a reranker. Every check prints a line.
Needs the packages of requirements.txt, and no network.
"""

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[3]
SENTENCES = [
    "Mwanamke anashona nguo nje ya nyumba.",
    "Ng'ombe wanakula nyasi shambani.",
    "A woman is sewing clothes.",
    "The price of maize has gone up.",
    'Alisema: "karibu", kisha akaondoka.',
    "Bei ya unga imepanda.",
]
QUERY = "hospitali ya wilaya"
KEY = "siri-ya-majaribio"


# The server.


class Server:
    """A running `maana serve`, and its answers as a program sees them."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"listening on (http://\S+)", line)
        assert found, f"{command}: said {line!r} instead of where it listens (exit code {self.process.poll()})"
        self.url = found[1]

    def ask(self, route, body=None, key=None):
        headers = {"content-type": "application/json"}
        if key:
            headers["authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + route, data, headers), timeout=60) as answer:
            return json.load(answer)

    def vectors(self, texts, dimensions):
        rows = []
        for start in range(0, len(texts), 16):
            body = {"model": self.ask("/info")["default_model"], "input": texts[start : start + 16], "dimensions": dimensions}
            rows += [row["embedding"] for row in self.ask("/v1/embeddings", body)["data"]]
        return rows

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"


def make_index(maana, model, folder):
    corpus = folder / "corpus.jsonl"
    lines = (ROOT / "recipes/demo/dev/corpus.jsonl").read_text("utf-8").splitlines()[:200]
    corpus.write_text("\n".join(lines) + "\n", "utf-8")
    run([maana, "index", model, corpus, "--out", folder / "store"])
    return folder / "store"


def make_labels(maana, model, folder):
    rows = [(sentence, "sokoni" if "bei" in sentence.lower() or "price" in sentence else "nyumbani") for sentence in SENTENCES]
    table = folder / "train.tsv"
    table.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows * 4), "utf-8")
    run([maana, "classify", "fit", table, "--model", model, "--out", folder / "labels"])
    return folder / "labels"


# Arithmetic of the page, implemented a second time in another way.


def dot(a, b):
    return math.fsum(x * y for x, y in zip(a, b))


def cosine(a, b):
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def in_bytes(row):
    most = max(abs(x) for x in row)
    return [math.floor(x / most * 127 + 0.5) for x in row]


def in_bits(row):
    return [1 if x > 0 else -1 for x in row]


ROUNDED = {"f32": list, "int8": in_bytes, "bit": in_bits}


def matrix(rows):
    return [[cosine(a, b) for b in rows] for a in rows]


def pairs(values):
    return [values[i][j] for i in range(len(values)) for j in range(i + 1, len(values))]


def spearman(a, b):
    """Returns the rank correlation of two lists; NaN where one of them is constant."""

    def ranks(values):
        values = [round(value, 6) for value in values]
        return [sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2 for value in values]

    a, b = ranks(a), ranks(b)
    mean = sum(a) / len(a)
    if len(set(a)) == 1 or len(set(b)) == 1:
        return math.nan
    return cosine([x - mean for x in a], [x - mean for x in b])


def number(text):
    return math.nan if text == "–" else float(text.replace("−", "-"))


def near(shown, expected, digits, what):
    """Checks that a number on the page is the expected one, rounded."""
    value = number(shown)
    same = math.isnan(value) if math.isnan(expected) else abs(value - expected) <= 0.5 * 10**-digits + 2e-6
    assert same, f"{what}: the page shows {shown}, the server says {expected}"


# The page.


class Page:
    """A browser's page, with its requests and errors."""

    def __init__(self, browser, server, **context):
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **context})
        self.at = self.context.new_page()
        self.complaints, self.requests = [], []
        self.at.on("console", lambda message: message.type in ("error", "warning") and self.complaints.append(message.text))
        self.at.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.at.on("request", lambda request: self.requests.append(request))
        self.server = server
        self.at.goto(server.url + "/")

    def ready(self):
        self.at.wait_for_selector("#heat [data-i], #heat canvas")
        self.settled()
        return self

    def settled(self):
        self.at.wait_for_selector("#similarity[aria-busy=false]")

    def write(self, sentences):
        self.at.fill("#sentences", "\n".join(sentences))
        self.at.keyboard.press("Control+Enter")
        self.at.wait_for_function("n => document.querySelectorAll('#heat th[scope=row]').length === n", arg=len(sentences))
        self.settled()

    def slide(self, dims):
        """With the keyboard, as the slider of every browser goes."""
        self.at.focus("#dims")
        for _ in range(20):
            shown = int(self.at.inner_text("#dims-shown"))
            if shown == dims:
                return
            self.at.keyboard.press("ArrowLeft" if shown > dims else "ArrowRight")
        raise AssertionError(f"the slider does not reach {dims}")

    def press(self, group, value):
        self.at.click(f"#{group} [data-value={value}]")
        assert self.at.get_attribute(f"#{group} [data-value={value}]", "aria-pressed") == "true", f"{group}: {value} is not pressed"

    def cells(self):
        return self.at.eval_on_selector_all("#heat tbody tr", "rows => rows.map(row => [...row.querySelectorAll('td')].map(td => td.innerText.split('\\n')))")

    def asked(self, route):
        return [request for request in self.requests if request.url.endswith(route)]

    def quiet(self, allowed=None):
        """No complaint on the console, and nothing asked of anybody but the server."""
        rest = [text for text in self.complaints if not (allowed and re.search(allowed, text))]
        assert not rest, f"the console says {rest}"
        outside = [request.url for request in self.requests if not request.url.startswith((self.server.url, "data:"))]
        assert not outside, f"requests to others: {outside}"

    def close(self, allowed=None):
        self.quiet(allowed)
        self.context.close()


CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


@check
def numbers_follow_the_slider(world):
    """The heat map, its changes and the summary are the server's numbers at every dimension."""
    page = world.page().ready()
    page.write(SENTENCES)
    whole = matrix(world.server.vectors(SENTENCES, world.dims[0]))
    for dims in world.dims:
        page.slide(dims)
        expected = matrix(world.server.vectors(SENTENCES, dims))
        for i, row in enumerate(page.cells()):
            for j, shown in enumerate(row):
                near(shown[0], expected[i][j], 2, f"{dims} dimensions, sentences {i + 1} and {j + 1}")
                if dims < world.dims[0] and i != j:
                    near(shown[1], expected[i][j] - whole[i][j], 2, f"change at {dims} dimensions, {i + 1} and {j + 1}")
        if dims == world.dims[0]:
            continue
        changes = [abs(a - b) for a, b in zip(pairs(expected), pairs(whole))]
        said = re.findall(r"−?\d\.\d+", page.at.inner_text("#summary"))
        near(said[0], sum(changes) / len(changes), 3, "mean change")
        near(said[1], max(changes), 3, "largest change")
        near(said[2], spearman(pairs(expected), pairs(whole)), 3, "rank agreement")
    page.press("shows", "change")
    for i, row in enumerate(page.cells()):
        for j, shown in enumerate(row):
            near(shown[0], expected[i][j] - whole[i][j], 2, f"shown change, {i + 1} and {j + 1}")
    assert len(page.asked("/v1/embeddings")) == 2, "sliding asked the server again"
    page.close()


@check
def precisions_are_compared(world):
    """Cosines of a pair in f32, int8 and 1 bit at every dimension, and the table of costs."""
    page = world.page().ready()
    page.write(SENTENCES)
    page.at.click("#heat td[data-i='1'][data-j='4']")
    rows = world.server.vectors(SENTENCES, world.dims[0])
    shown = page.at.eval_on_selector_all("#pair tr:has(th[scope=row])", "rows => rows.map(row => [...row.querySelectorAll('td')].map(td => td.innerText))")
    whole = pairs(matrix(rows))
    for (precision, rounded), line in zip(ROUNDED.items(), shown, strict=True):
        for dims, text in zip(sorted(world.dims), line, strict=True):
            cut = [rounded(row[:dims]) for row in rows]
            near(text, cosine(cut[1], cut[4]), 3, f"pair in {precision} at {dims}")
            cell = page.at.inner_text(f"#costs td[data-dims='{dims}'][data-precision={precision}]").split()
            near(cell[0], spearman(pairs(matrix(cut)), whole), 3, f"agreement in {precision} at {dims}")
            change = [abs(a - b) for a, b in zip(pairs(matrix(cut)), whole)]
            near(cell[1], sum(change) / len(change), 3, f"mean change in {precision} at {dims}")
    page.press("precisions", "int8")
    cut = [in_bytes(row) for row in rows]
    near(page.cells()[0][2][0], cosine(cut[0], cut[2]), 2, "the heat map in int8")
    page.at.click(f"#costs td[data-dims='{world.dims[-1]}'][data-precision=bit]")
    assert page.at.input_value("#dims") == "0" and page.at.get_attribute("#precisions [data-value=bit]", "aria-pressed") == "true"
    page.close()


@check
def only_new_sentences_are_sent(world):
    """Typing sends only the new sentence, and shows it without a click."""
    page = world.page().ready()
    page.write(SENTENCES[:3])
    before = len(page.asked("/v1/embeddings"))
    page.at.focus("#sentences")
    page.at.keyboard.press("Control+End")
    page.at.keyboard.type("\nMvua inanyesha.")
    page.at.wait_for_function("() => document.querySelectorAll('#heat th[scope=row]').length === 4")
    sent = [json.loads(request.post_data)["input"] for request in page.asked("/v1/embeddings")[before:]]
    assert sent == [["Mvua inanyesha."]], sent
    page.at.fill("#sentences", "moja tu")
    page.at.wait_for_function("() => !document.querySelector('#heat table')")
    assert "two sentences" in page.at.inner_text("#summary") and page.at.is_hidden("#pair") and page.at.is_hidden("#map-section")
    page.at.fill("#sentences", "  \n\n")
    page.at.wait_for_timeout(900)
    assert page.at.is_hidden("#costs-section")
    page.close()


@check
def many_sentences_are_a_picture(world):
    """Two hundred sentences: a picture with a cell to move, a note about the omitted rest, and a map."""
    page = world.page().ready()
    sentences = [f"Sentensi ya {place}: {SENTENCES[place % 6]}" for place in range(203)]
    page.at.fill("#sentences", "\n".join(sentences))
    page.at.wait_for_selector("#heat canvas")
    page.settled()
    assert "200 of 203" in page.at.inner_text("#status"), page.at.inner_text("#status")
    page.at.focus("#heat canvas")
    for key in ["ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"]:
        page.at.keyboard.press(key)
    said = page.at.inner_text("#pair .texts").splitlines()
    assert said == [f"3 {sentences[2]}", f"5 {sentences[4]}"], said
    dims = sorted(world.dims)[1]
    page.slide(dims)
    rows = world.server.vectors([sentences[2], sentences[4]], dims)
    near(page.at.inner_text("#pair-cosine"), cosine(*rows), 3, "the chosen pair")
    assert page.at.locator("#map .dot").count() == 200
    page.close()


@check
def the_map_follows(world):
    """Dots are reached by keyboard, say their sentence and its nearest ones, and move when the slider does."""
    page = world.page().ready()
    page.write(SENTENCES)
    expected = matrix(world.server.vectors(SENTENCES, world.dims[0]))
    page.at.focus("#map .dot >> nth=0")
    page.at.keyboard.press("ArrowRight")
    shown = page.at.inner_text("#map-shown")
    assert SENTENCES[1] in shown, shown
    best = sorted((j for j in range(6) if j != 1), key=lambda j: -expected[1][j])[:3]
    items = page.at.eval_on_selector_all("#map-shown li", "items => items.map(item => item.innerText)")
    assert [int(re.search(r"· (\d+) ", item)[1]) - 1 for item in items] == best, items
    near(items[0].split()[0], expected[1][best[0]], 2, "the nearest sentence")
    places = "dots => dots.map(dot => dot.style.transform)"
    before = page.at.eval_on_selector_all("#map .dot", places)
    page.slide(world.dims[-1])
    assert page.at.eval_on_selector_all("#map .dot", places) != before, "the dots stay where they were"
    page.close()


@check
def searches_at_the_sliders_dimension(world):
    """Hits and their scores by dimension are those of /search, whole and cut."""
    page = world.page().ready()
    page.at.fill("#query", QUERY)
    page.at.keyboard.press("Enter")
    page.at.wait_for_selector("#hits li")

    def compare(dims):
        hits = world.server.ask("/search", {"query": QUERY, "k": 10, "dimensions": dims, "all_dimensions": True})["results"][0]["hits"]
        page.at.wait_for_function("dims => document.querySelector('#hits .on')?.dataset.dims === String(dims)", arg=dims)
        for place, hit in enumerate(hits):
            shown = page.at.inner_text(f"#hits li:nth-child({place + 1})")
            assert hit["text"] in shown and hit["id"] in shown, f"hit {place + 1} is {shown!r}, not {hit}"
            scores = dict(re.findall(r"(\d+): (−?\d\.\d+)", shown))
            assert scores.keys() == hit["scores"].keys(), (scores, hit)
            for name, score in hit["scores"].items():
                near(scores[name], score, 3, f"hit {place + 1} at {name}")

    compare(world.dims[0])
    page.slide(world.dims[-1])
    compare(world.dims[-1])
    assert f"With {world.dims[-1]} dimensions" in page.at.inner_text("#search-status")
    page.at.check("#hybrid")
    page.at.wait_for_function("() => document.querySelector('#hits').innerText.includes('rank score')")
    page.close()


@check
def shows_both_orders(world):
    """Candidates before and after reranking are those of /search and /rerank; a slider sends only new ones, a box turns it off."""
    with world.reranking() as server:
        page = Page(world.browser, server).ready()
        name = server.ask("/info")["default_reranker"]["model_id"]
        assert name in page.at.inner_text("#rerank-label") and page.at.is_hidden("#reranker")
        page.at.fill("#query", QUERY)
        page.at.keyboard.press("Enter")
        page.at.wait_for_selector("#reranked li")
        hits = server.ask("/search", {"query": QUERY, "k": 30})["results"][0]["hits"]
        ranks = server.ask("/rerank", {"query": QUERY, "texts": [hit["text"] for hit in hits]})
        before = page.at.eval_on_selector_all("#hits li", "items => items.map(item => item.innerText)")
        after = page.at.eval_on_selector_all("#reranked li", "items => items.map(item => item.innerText)")
        assert len(before) == len(after) == 10
        for hit, shown in zip(hits, before):
            assert hit["text"] in shown, shown
        for place, (rank, shown) in enumerate(zip(ranks, after)):
            assert hits[rank["index"]]["text"] in shown, (rank, shown)
            near(re.search(r"\n(\d\.\d+)", shown)[1], rank["score"], 3, f"place {place + 1} after reranking")
            moved = f"was {rank['index'] + 1}" in shown
            assert moved == (rank["index"] != place), (rank, shown)
        new = sum(rank["index"] >= 10 for rank in ranks[:10])
        assert f"{new} of these 10" in page.at.inner_text("#after-about"), page.at.inner_text("#after-about")
        page.slide(world.dims[-1])
        page.at.wait_for_function("dims => document.querySelector('#hits .on')?.dataset.dims === String(dims)", arg=world.dims[-1])
        sent = [len(json.loads(request.post_data)["texts"]) for request in page.asked("/rerank")]
        assert sent[0] == 30 and sum(sent) < 60, f"scores that are known were asked for again: {sent}"
        page.at.click("details[data-code=search] summary")
        page.press("kinds-search", "requests")
        program = page.at.text_content("details[data-code=search] code")
        compile(program, "search", "exec")
        assert "/rerank" in program, program
        page.press("languages", "sw")
        assert "Baada ya kupangwa upya" in page.at.inner_text("#after-title"), page.at.inner_text("#after-title")
        page.at.uncheck("#rerank")
        page.at.wait_for_selector("#after", state="hidden")
        assert page.at.is_hidden("#before-title") and page.at.locator("#hits li").count() == 10
        page.close()


@check
def a_server_of_rerankers_says_so(world):
    with world.rerankers_only() as server:
        page = Page(world.browser, server)
        page.at.wait_for_function("() => document.querySelector('#about').innerText.includes('only rerankers')")
        assert page.at.is_hidden("#views") and page.at.is_hidden("#sentences") and page.at.is_hidden("#notice")
        page.close()


@check
def classifies(world):
    page = world.page().ready()
    page.at.fill("#classify-text", SENTENCES[5])
    page.at.keyboard.press("Enter")
    page.at.wait_for_selector("#labels li")
    scores = world.server.ask("/classify", {"inputs": SENTENCES[5]})[0]
    shown = page.at.eval_on_selector_all("#labels li", "items => items.map(item => item.innerText.split('\\n').filter(Boolean))")
    assert [line[0] for line in shown] == [score["label"] for score in scores], shown
    for line, score in zip(shown, scores):
        near(line[-1], score["score"], 3, score["label"])
    page.close()


@check
def programs_do_the_same(world):
    """The curl that is shown gives the numbers that are shown; the Python is Python; the copy button copies."""
    page = world.page().ready()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.write(SENTENCES)
    page.slide(world.dims[-1])
    page.at.click("details[data-code=similarity] summary")

    def shown(subject, kind):
        page.press(f"kinds-{subject}", kind)
        return page.at.text_content(f"details[data-code={subject}] code")

    command = shown("similarity", "curl")
    answer = json.loads(subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout)
    values = answer["matrices"][str(world.dims[-1])]
    for i, row in enumerate(page.cells()):
        for j, cell in enumerate(row):
            near(cell[0], values[i][j], 2, f"curl, {i + 1} and {j + 1}")
    page.at.click("details[data-code=similarity] .small")
    page.at.wait_for_function("() => document.querySelector('details[data-code=similarity] [role=status]').textContent !== ''")
    assert page.at.evaluate("navigator.clipboard.readText()") == command
    for kind in ["requests", "openai"]:
        program = shown("similarity", kind)
        compile(program, kind, "exec")
        assert f"{world.dims[-1]}" in program and json.dumps(SENTENCES[1]) in program, program
    page.at.fill("#query", QUERY)
    page.at.keyboard.press("Enter")
    page.at.wait_for_selector("#hits li")
    page.at.click("details[data-code=search] summary")
    compile(shown("search", "requests"), "search", "exec")
    hits = json.loads(subprocess.run(["bash", "-c", shown("search", "curl")], capture_output=True, text=True, check=True).stdout)["results"][0]["hits"]
    assert hits[0]["text"] in page.at.inner_text("#hits li:first-child")
    page.close()


@check
def calls_are_counted(world):
    """Tokens and times of each call are those of the answer's headers."""
    page = world.page().ready()
    with page.at.expect_response("**/v1/embeddings") as caught:
        page.write(SENTENCES)
    headers = caught.value.all_headers()
    row = page.at.eval_on_selector("#calls tbody tr", "row => [...row.cells].map(cell => cell.innerText)")
    assert row[:3] == ["/v1/embeddings", str(len(SENTENCES)), headers["x-compute-tokens"]], (row, headers)
    for text, name in zip(row[3:6], ["total", "queue", "inference"]):
        assert abs(float(text) - int(headers[f"x-{name}-time"])) <= 1, (name, row, headers)
    assert float(row[6]) + 1 >= int(headers["x-total-time"]), row
    page.close()


@check
def speaks_two_languages(world):
    """By the browser's language, by the button, and again after a reload; no word is missing in either."""
    page = world.page(locale="sw-KE").ready()
    assert page.at.get_attribute("html", "lang") == "sw" and page.at.inner_text("#similarity-title") == "Ufanano"
    page.press("languages", "en")
    assert page.at.get_attribute("html", "lang") == "en" and page.at.inner_text("#similarity-title") == "Similarity"
    page.at.reload()
    page.ready()
    assert page.at.get_attribute("html", "lang") == "en", "the choice is forgotten"
    words = page.at.evaluate("Object.fromEntries(Object.entries(WORDS).map(([name, words]) => [name, Object.keys(words).sort()]))")
    assert words["en"] == words["sw"], set(words["en"]) ^ set(words["sw"])
    blanks = page.at.evaluate("""Object.keys(WORDS.en).filter(name => typeof WORDS.en[name] === 'string' &&
        String(WORDS.en[name].match(/\\{\\w+\\}/g)?.sort()) !== String(WORDS.sw[name].match(/\\{\\w+\\}/g)?.sort()))""")
    assert not blanks, f"not the same values are filled in: {blanks}"
    for language in ["en", "sw"]:
        page.press("languages", language)
        text = page.at.inner_text("body")
        assert not re.search(r"undefined|NaN|\{\w+\}|\[object", text), text
        empty = page.at.eval_on_selector_all("[data-t]", "all => all.filter(one => !one.textContent).map(one => one.dataset.t)")
        assert not empty, empty
    page.close()


@check
def light_and_dark(world):
    """The system's setting, the button, and a reload; numbers are readable in both."""
    brightness = "() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number); return (r + g + b) / 765; }"
    page = world.page(color_scheme="dark").ready()
    page.write(SENTENCES)
    assert page.at.evaluate(brightness) < 0.3
    page.press("themes", "light")
    assert page.at.evaluate(brightness) > 0.8
    page.at.reload()
    page.ready()
    assert page.at.evaluate(brightness) > 0.8, "the choice is forgotten"
    for theme in ["light", "dark"]:
        page.press("themes", theme)
        for show in ["cosine", "change"]:
            page.press("shows", show)
            page.slide(world.dims[-1])
            worst = page.at.evaluate(CONTRAST, "#heat td[data-i]")
            assert worst >= 4.5, f"{theme}, {show}: contrast of a cell is {worst:.2f}"
        worst = page.at.evaluate(CONTRAST, "p, h2, label, button, .plain td, .plain th")
        assert worst >= 4.5, f"{theme}: contrast of a text is {worst:.2f}"
    page.close()


# The least contrast (by WCAG) of the visible elements with their backgrounds.
CONTRAST = """selector => {
  const light = color => { const [r, g, b] = color.match(/[\\d.]+/g).map(x => (x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const clear = color => color === 'transparent' || /, 0\\)$/.test(color);
  const ground = element => { while (element.parentElement && clear(getComputedStyle(element).backgroundColor)) element = element.parentElement; return getComputedStyle(element).backgroundColor; };
  const ratios = [...document.querySelectorAll(selector)].filter(element => element.offsetWidth && element.innerText?.trim()).map(element => {
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
    return (a + .05) / (b + .05);
  });
  return Math.min(...ratios);
}"""


@check
def keyboard_only(world):
    """The tab key goes through the page in reading order, shows where it is, and arrows move inside of the table."""
    page = world.page().ready()
    page.write(SENTENCES)
    page.at.reload()
    page.ready()
    seen = []
    for _ in range(60):
        page.at.keyboard.press("Tab")
        at = page.at.evaluate("""() => { const at = document.activeElement; if (at === document.body) return null;
            const style = getComputedStyle(at); return [at.id || at.dataset.value || at.dataset.set || at.dataset.i || at.tagName, style.outlineStyle !== 'none' || at.matches('.dot')]; }""")
        if at is None:
            break
        assert at[1], f"{at[0]} has the focus and does not show it"
        seen.append(at[0])
    order = ["en", "auto", "sentences", "both", "dims", "f32", "cosine", "0", "query", "hybrid", "classify-text"]
    places = [seen.index(name) for name in order]
    assert places == sorted(places), seen
    page.at.focus("#heat td[tabindex='0']")
    for key in ["Home", "ArrowDown", "End", "ArrowDown", "ArrowLeft"]:
        page.at.keyboard.press(key)
    assert page.at.evaluate("[document.activeElement.dataset.i, document.activeElement.dataset.j]") == ["2", "4"]
    assert SENTENCES[2] in page.at.inner_text("#pair") and SENTENCES[4] in page.at.inner_text("#pair")
    page.at.focus("#dims")
    page.at.keyboard.press("Home")
    assert str(world.dims[-1]) in page.at.get_attribute("#dims", "aria-valuetext")
    page.at.evaluate("window.scrollTo(0, 0); document.activeElement.blur()")
    nameless = page.at.evaluate("""[...document.querySelectorAll('button, input, select, textarea, canvas, svg, [role=button], [role=region], [role=grid], meter, pre[tabindex]')]
        .filter(one => one.checkVisibility() && one.id !== 'key' && one.tagName !== 'PRE' && !one.closest('[aria-hidden=true]'))
        .filter(one => !(one.getAttribute('aria-label') || one.labels?.length || one.innerText || document.getElementById(one.getAttribute('aria-labelledby'))))
        .map(one => one.outerHTML.slice(0, 80))""")
    assert not nameless, f"without a name for screen readers: {nameless}"
    page.close()


@check
def fits_a_phone(world):
    """A narrow screen has no horizontal scroll, in either language, with few sentences and with many."""
    for language in ["en-GB", "sw-KE"]:
        page = world.page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, locale=language).ready()
        page.slide(world.dims[-1])
        page.at.fill("#query", QUERY)
        page.at.keyboard.press("Enter")
        page.at.wait_for_selector("#hits li")
        for sentences in [SENTENCES, [f"{SENTENCES[place % 6]} {place}" for place in range(30)]]:
            page.at.fill("#sentences", "\n".join(sentences))
            page.at.keyboard.press("Control+Enter")
            page.at.wait_for_selector("#heat canvas" if len(sentences) > 16 else "#heat table")
            page.settled()
            width = page.at.evaluate("document.documentElement.scrollWidth")
            assert width <= 360, f"the page is {width} wide on a screen of 360 ({language}, {len(sentences)} sentences)"
        page.at.tap("#heat canvas", position={"x": 30, "y": 60})
        page.close()


@check
def asks_for_a_key(world):
    """A server with keys: the page asks, says that a wrong one is wrong, works with the right one, and forgets it with the tab."""
    with world.guarded() as server:
        page = Page(world.browser, server)
        page.at.wait_for_function(
            "() => !document.querySelector('#key-form').hidden || document.querySelector('#heat table')"
        )
        assert page.at.is_visible("#key-form"), "vectors without a key"
        page.at.fill("#key", "wrong")
        page.at.keyboard.press("Enter")
        page.at.wait_for_selector("#notice:not([hidden])")
        assert "key" in page.at.inner_text("#notice")
        page.at.fill("#key", KEY)
        page.at.keyboard.press("Enter")
        page.ready()
        assert page.at.is_hidden("#key-form") and page.at.is_hidden("#notice")
        page.at.reload()
        page.ready()
        page.at.click("details[data-code=similarity] summary")
        for kind in ["curl", "requests", "openai"]:
            page.press("kinds-similarity", kind)
            program = page.at.text_content("details[data-code=similarity] code")
            assert "MAANA_KEY" in program and KEY not in program, program
        page.close(allowed="401")


@check
def reports_errors_in_plain_words(world):
    """Refusals, overload and a server that is gone: what the page shows, and that it continues afterwards."""
    page = world.page().ready()
    answers = []
    page.at.route("**/v1/embeddings", lambda route: route.fulfill(**answers.pop(0)) if answers else route.continue_())
    error = lambda status, message, **headers: {
        "status": status, "headers": headers, "content_type": "application/json", "body": json.dumps({"error": {"message": message}})
    }
    cases = [(422, "cannot use this input"), (413, "more text"), (500, "inside the server"), (503, "starting or stopping")]
    for place, (status, words) in enumerate(cases):
        answers.append(error(status, f"said {status}"))
        page.at.fill("#sentences", f"kwanza {place}\npili {place}")
        page.at.keyboard.press("Control+Enter")
        page.at.wait_for_function("words => document.querySelector('#notice').innerText.includes(words)", arg=words)
        assert f"said {status}" in page.at.inner_text("#notice")
    answers.append(error(429, "overloaded", **{"retry-after": "1"}))
    began = time.monotonic()
    page.write(["tatu", "nne"])
    assert time.monotonic() - began >= 1 and page.at.is_hidden("#notice"), "429 was not waited for"
    page.at.unroute("**/v1/embeddings")
    page.at.route("**/v1/embeddings", lambda route: route.abort())
    page.at.fill("#sentences", "tano\nsita")
    page.at.keyboard.press("Control+Enter")
    page.at.wait_for_function("() => document.querySelector('#notice').innerText.includes('does not answer')")
    page.at.unroute("**/v1/embeddings")
    page.at.keyboard.press("Control+Enter")
    page.at.wait_for_function("() => document.querySelector('#heat').innerText.includes('tano')")
    page.close(allowed="Failed to load resource")


@check
def without_index_and_labels(world):
    """A server with only a model: the search explains how to get an index, the classifier is not shown."""
    with world.bare() as server:
        page = Page(world.browser, server).ready()
        assert page.at.is_hidden("#search-form") and "maana index" in page.at.inner_text("#no-index")
        assert page.at.is_hidden("#classify-section")
        page.close()


def take_pictures(world, folder):
    """Takes screenshots: light, dark, phone, Swahili, many sentences."""
    folder.mkdir(parents=True, exist_ok=True)
    phone = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    for name, context in {
        "light": {}, "dark": {"color_scheme": "dark"}, "phone": phone, "phone-dark": {**phone, "color_scheme": "dark", "locale": "sw-KE"}, "swahili": {"locale": "sw-KE"},
    }.items():
        page = world.page(**context).ready()
        page.at.screenshot(path=folder / f"{name}.png")
        page.slide(sorted(world.dims)[1])
        page.at.fill("#query", QUERY)
        page.at.keyboard.press("Enter")
        page.at.wait_for_selector("#hits li")
        page.at.wait_for_timeout(600)
        page.at.screenshot(path=folder / f"{name}-whole.png", full_page=True)
        page.close()
    with world.reranking() as server:
        for name, context in {"reranked": {}, "reranked-dark": {"color_scheme": "dark", "locale": "sw-KE"}, "reranked-phone": phone}.items():
            page = Page(world.browser, server, **context).ready()
            page.at.fill("#query", QUERY)
            page.at.keyboard.press("Enter")
            page.at.wait_for_selector("#reranked li")
            page.at.wait_for_timeout(600)
            page.at.locator("#search-section").screenshot(path=folder / f"{name}.png")
            page.close()
    page = world.page().ready()
    corpus = [json.loads(line)["text"] for line in (ROOT / "recipes/demo/dev/corpus.jsonl").read_text("utf-8").splitlines()[:150]]
    page.at.fill("#sentences", "\n".join(corpus))
    page.at.wait_for_selector("#heat canvas")
    page.settled()
    page.slide(sorted(world.dims)[0])
    page.at.wait_for_timeout(800)
    page.at.screenshot(path=folder / "many.png", full_page=True)
    page.close()


class World:
    """The browser and the servers of a run."""

    def __init__(self, browser, options, folder):
        self.browser, self.folder = browser, folder
        self.command = [options.maana, "serve", options.model, "--port", "0", *(["--dims", options.dims] if options.dims else [])]
        self.maana, self.reranker = options.maana, f"mpangaji={options.reranker}"
        store, labels = make_index(options.maana, options.model, folder), make_labels(options.maana, options.model, folder)
        self.store = store
        self.server = Server([*self.command, "--index", store, "--head", labels])
        self.dims = sorted(self.server.ask("/info")["dimensions"], reverse=True)
        assert len(self.dims) > 1, f"the server declares one dimension only: {self.dims}"

    def page(self, **context):
        return Page(self.browser, self.server, **context)

    @contextmanager
    def started(self, command):
        server = Server(command)
        try:
            yield server
        finally:
            server.stop()

    def bare(self, *more):
        return self.started([*self.command, *more])

    def reranking(self):
        return self.bare("--index", self.store, "--reranker", self.reranker)

    def rerankers_only(self):
        return self.started([self.maana, "serve", "--port", "0", "--reranker", self.reranker])

    def guarded(self):
        keys = self.folder / "keys"
        keys.write_text(f"majaribio:{KEY}\n")
        return self.bare("--keys", keys)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maana", default=ROOT / "target/debug/maana", help="the program")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser")
    parser.add_argument("--model", default=ROOT / "golden/tiny-bert", help="a model folder or name")
    parser.add_argument("--reranker", default=ROOT / "golden/cross/bert", help="a cross-encoder's folder")
    parser.add_argument("--dims", default="64,32,16,8", help="dimensions to declare; empty: what the model declares")
    parser.add_argument("--screenshots", type=Path, help="a folder for pictures")
    parser.add_argument("--only", default="", help="checks whose names contain this")
    options = parser.parse_args()
    began, failed = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(options.chromium), args=["--no-sandbox"])
        world = World(browser, options, Path(folder))
        try:
            for function in CHECKS:
                if options.only in function.__name__:
                    start = time.monotonic()
                    name = function.__name__.replace("_", " ")
                    try:
                        function(world)
                        print(f"ok: {name} ({time.monotonic() - start:.1f} s)", flush=True)
                    except Exception:
                        failed.append(name)
                        print(f"FAILED: {name}\n{traceback.format_exc()}", flush=True)
            if options.screenshots:
                take_pictures(world, options.screenshots)
        finally:
            world.server.stop()
            browser.close()
    print(f"the page in Chromium: {len(failed)} checks failed, in {time.monotonic() - began:.0f} s")
    return min(len(failed), 1)


if __name__ == "__main__":
    sys.exit(main())
