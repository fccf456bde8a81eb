// The page: what people do becomes a query, a query an answer, an answer a state of the history.

import { SearchError, search } from "./api.js";
import { $, bones, button, cards, chips, frame, notice, press } from "./draw.js";
import { enlarging } from "./enlarge.js";
import { choose, photos } from "./photos.js";
import { Region } from "./region.js";
import { boot, called, isolated, t } from "./texts.js";

const region = new Region($("photo"), $("region"));
const answers = new Map(); // link -> answer, so that back and forward need no search
const KEPT_ANSWERS = 30;
const BONES = 8;
const NOTHING_YET = { categories: [], searched: [] };
const NO_FILE = { message: t("no_file_message"), hint: t("no_file_hint") };
const CHOOSE_ANOTHER = ["empty", "not_a_picture", "too_large", "too_many_pixels", "unknown_photo"];
const NO_SECOND_TRY = ["unknown_item", "bad_request", "not_found", "method_not_allowed", "nothing_indexed"];

let query = null; // what is shown or searched: {file, photo, like, categories, all, region}
let answer = null;
let running = null; // the AbortController of the search that is at work
let entry = null; // of the history, that is shown
let upload = null; // the last {file, photo}: sent once more where the server keeps it no longer

const titled = document.title;

// Queries and addresses

function queryOf(address) {
  const asked = new URLSearchParams(address);
  const numbers = (asked.get("region") ?? "").split(",").map(Number);
  return {
    photo: asked.get("photo"),
    like: asked.get("like"),
    categories: asked.getAll("category"),
    all: ["1", "true"].includes(asked.get("all")),
    region: numbers.length === 4 && numbers.every(Number.isFinite) ? numbers : null,
  };
}

const fresh = (source) => ({ categories: [], all: false, region: null, ...source });

// Searching

async function run(next, { push = true, focus = true } = {}) {
  running?.abort();
  const mine = (running = new AbortController());
  const before = query;
  query = next;
  view("results");
  waiting(next, before);
  if (focus) toResults();
  try {
    const found = await sent(next, mine.signal);
    if (next.file) {
      query = { ...next, file: undefined, photo: found.query.photo };
      upload = { file: next.file, photo: found.query.photo };
    }
    remember(found, push);
    show(found);
    say($("status"), summary(found));
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
    fail(error, push);
  } finally {
    if (running === mine) running = null;
  }
}

async function sent(next, signal) {
  const sending = (share) => progress(next.file ? share : 1, signal);
  try {
    return await search(next, signal, sending);
  } catch (error) {
    if (error.code !== "unknown_photo" || !next.photo || next.photo !== upload?.photo) throw error;
    next.file = upload.file;
    return search(next, signal, sending);
  }
}

const here = () => location.pathname + location.search;
const entryHere = () => here() + JSON.stringify(history.state);

function remember(found, push) {
  const { pathname, search: asked } = new URL(found.link, location);
  if (push && pathname + asked !== here() && !history.state?.failed) history.pushState(null, "", found.link);
  else history.replaceState(null, "", found.link);
  entry = entryHere();
  answers.delete(here());
  answers.set(here(), found);
  if (answers.size > KEPT_ANSWERS) answers.delete(answers.keys().next().value);
}

function progress(share, signal) {
  if (signal.aborted) return;
  const bar = $("progress");
  if (share < 1) bar.value = share;
  else bar.removeAttribute("value");
  $("results-title").textContent = share < 1 ? t("sending") : t("searching");
}

// What is seen

function view(name) {
  document.body.dataset.view = name;
  $("home-say").replaceChildren();
}

function state(name) {
  const works = name === "waiting";
  $("results").dataset.state = name;
  $("progress").hidden = !works;
  $("grid").setAttribute("aria-busy", String(works));
  $("copy").disabled = works; // there is no link of this search yet
}

function waiting(next, before) {
  const sameSource = before && !next.file && next.photo === before.photo && next.like === before.like;
  if (!sameSource) preview(next);
  state("waiting");
  region.value = next.region;
  regionButtons();
  $("results-title").textContent = t("searching");
  $("say").replaceChildren();
  $("more").hidden = true;
  $("show-more").ariaBusy = "false"; // what it waited for was given up
  $("legend").hidden = true;
  $("progress").removeAttribute("value");
  bones(BONES);
  if (!sameSource) {
    chips(NOTHING_YET, boot.categories);
    $("why").textContent = "";
  } else if (next.all || next.categories.length) {
    press((one) => ("all" in one.dataset ? next.all : next.categories.includes(one.dataset.category)));
  }
  $("chips").classList.toggle("kept", !sameSource);
  say($("status"), t("searching"));
}

function preview({ file, like }) {
  const image = $("photo-image");
  $("photo").hidden = true;
  $("query-name").textContent = file?.name ?? "";
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.removeAttribute("src");
  image.onload = image.onerror = null;
  if (!file && !like) return;
  const known = like && answer?.neighbours.find((one) => one.uri === like);
  if (!file && !known) return;
  image.onload = () => frame(image.naturalWidth, image.naturalHeight);
  image.onerror = () => {
    // A photo that this browser cannot show, such as HEIC: the server has made a JPEG of it.
    image.onerror = null;
    image.removeAttribute("src");
    if ($("results").dataset.state === "done") image.src = answer.query.url;
  };
  image.src = file ? URL.createObjectURL(file) : known.thumbnail;
  if (known) $("query-name").textContent = t("more_like", known);
}

function show(found) {
  answer = found;
  state("done");
  const { query: asked } = found;
  const image = $("photo-image");
  frame(asked.width, asked.height);
  if (!image.src.startsWith("blob:")) {
    image.onload = null;
    if (new URL(asked.url, location).href !== image.src) image.src = asked.url;
  }
  image.alt = asked.like ? t("the_query", asked) : t("your_photo");
  $("query-name").textContent = asked.like ? t("more_like", asked) : nameOf(asked);
  region.value = asked.region;
  regionButtons();
  $("results-title").textContent = found.nothing_similar ? t("nothing") : heading(found);
  document.title = `${$("query-name").textContent || t("results")} · ${titled}`;
  chips(found, boot.categories);
  why(found);
  $("say").replaceChildren(...(found.nothing_similar ? [nothingSimilar(found)] : []));
  cards(found.neighbours);
  $("more").hidden = !found.more;
}

const nameOf = ({ photo, name }) => (photo === upload?.photo ? upload.file.name : name === "photo" ? t("your_photo") : name);
const heading = ({ neighbours }) => t("found", { count: neighbours.length });

function summary(found) {
  const where = found.searched.length ? listed(found.searched) : t("all_categories");
  const start = found.nothing_similar ? `${t("nothing_aloud")} ` : "";
  return start + t("found_where", { found: heading(found), where });
}

function why(found) {
  const place = $("why");
  const chosen = query.categories.length > 0 || query.all;
  if (chosen) {
    place.textContent = `${query.all ? t("why_all_chosen") : t("why_chosen", { where: listed(found.searched) })} `;
    place.append(button(t("decide"), decide, ""));
  } else if (found.searched.length) {
    place.textContent = t("why", { where: listed(found.searched), count: found.searched.length });
  } else place.textContent = t("why_all");
}

function decide() {
  refine({ categories: [], all: false });
  $("results-title").focus({ preventScroll: true }); // the button goes
}

function nothingSimilar(found) {
  const actions = [];
  if (!query.all) actions.push([t("try_all"), () => refine({ categories: [], all: true })]);
  if (!query.region) actions.push([t("try_part"), () => region.start()]);
  const nearest = found.neighbours.length ? t("nothing_shown") : "";
  const hint = t("nothing_hint") || sentence(found.nothing_similar); // the API speaks English
  return notice({ message: `${t("nothing_message")} ${nearest}`, hint }, actions);
}

function listed(names) {
  const words = names.map((name) => isolated(called(name)));
  return words.length > 1 ? `${words.slice(0, -1).join(", ")} ${t("and")} ${words.at(-1)}` : words[0];
}
const sentence = (words) => `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;

function fail(error, push) {
  answer = null;
  if (push && !history.state?.failed) {
    history.pushState({ failed: true }, "", here()); // so that Back leads to what was before, not away
    entry = entryHere();
  }
  state("error");
  $("grid").replaceChildren();
  $("results-title").textContent = t("no_result");
  $("legend").hidden = $("more").hidden = true;
  const again = query;
  const actions = [];
  if (CHOOSE_ANOTHER.includes(error.code)) actions.push([t("another"), choose]);
  else if (!NO_SECOND_TRY.includes(error.code)) actions.push([t("again"), () => run(again, { push: true })]);
  actions.push([t("start"), goHome]);
  $("say").replaceChildren(notice({ message: error.message, hint: error.hint }, actions));
  say($("alert"), `${error.message} ${error.hint ?? ""}`);
}

function say(place, words) {
  $(place === $("alert") ? "status" : "alert").textContent = "";
  place.textContent = words;
}

function toResults() {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  scrollTo({ top: 0, behavior: calm ? "instant" : "smooth" });
  $("results-title").focus({ preventScroll: true });
}

// What people do

function take(file) {
  if (file.size > boot.max_bytes || file.size === 0) {
    running?.abort();
    query = fresh({});
    view("results");
    waiting(query, null);
    toResults();
    fail(new SearchError(file.size ? boot.too_large : boot.empty), true);
    return;
  }
  run(fresh({ file }));
}

function goHome() {
  history.pushState(null, "", "./");
  restore();
}

function refine(changes) {
  run({ ...query, ...changes }, { focus: false });
}

async function showMore() {
  const link = $("show-more");
  if (running || link.ariaBusy === "true") return;
  const before = answer;
  const shown = before.neighbours.length;
  const mine = (running = new AbortController());
  link.ariaBusy = "true";
  say($("status"), t("loading"));
  try {
    const found = await search({ ...query, start: shown }, mine.signal, () => {});
    answer = { ...before, neighbours: [...before.neighbours, ...found.neighbours], more: found.more };
    answers.set(here(), answer);
    cards(answer.neighbours, shown);
    $("more").hidden = !found.more;
    $("results-title").textContent = answer.nothing_similar ? t("nothing") : heading(answer);
    $("grid").children[shown]?.querySelector("a").focus({ preventScroll: true });
    say($("status"), summary(answer));
  } catch (error) {
    if (!(error instanceof SearchError)) throw error;
    say($("alert"), `${error.message} ${error.hint ?? ""}`);
    $("say").replaceChildren(notice(error));
    $("say").scrollIntoView({ block: "center" });
  } finally {
    link.ariaBusy = "false";
    if (running === mine) running = null;
  }
}

function regionButtons() {
  const searched = JSON.stringify(query?.region ?? null) === JSON.stringify(region.value);
  $("region-start").hidden = Boolean(region.value);
  $("region-clear").hidden = !region.value;
  $("region-search").hidden = !region.value || searched;
  $("copy").hidden = !$("region-search").hidden; // the link is that of the last search
  $("results").classList.toggle("choosing-now", Boolean(region.value));
}

function clearRegion() {
  const wasSearched = Boolean(query?.region);
  region.value = null;
  regionButtons();
  $("region-start").focus({ preventScroll: true });
  if (wasSearched) refine({ region: null });
}

async function copyLink() {
  const link = new URL(answer?.link ?? location.href, location).href;
  try {
    await navigator.clipboard.writeText(link);
    $("copy-word").textContent = t("copied");
    say($("status"), t("copied"));
  } catch {
    prompt(t("copy_this"), link); // no clipboard without https
  }
  setTimeout(() => ($("copy-word").textContent = t("copy")), 2500);
}

function restore() {
  running?.abort();
  entry = entryHere();
  const next = queryOf(location.search);
  if (!next.photo && !next.like) {
    document.title = titled;
    query = answer = null;
    view("home");
    return;
  }
  const known = answers.get(here());
  if (!known) {
    run(next, { push: false, focus: false });
    return;
  }
  if (!query || query.photo !== next.photo || query.like !== next.like) preview({});
  query = next;
  view("results");
  show(known);
}

function listen() {
  $("again").addEventListener("click", (event) => {
    event.preventDefault();
    choose();
  });
  $("show-more").addEventListener("click", (event) => {
    event.preventDefault();
    showMore();
  });
  // Hints about keys are for those who use them.
  addEventListener("keydown", () => document.body.classList.add("by-keys"));
  addEventListener("pointerdown", () => document.body.classList.remove("by-keys"));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-like]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    run(fresh({ like: link.dataset.like }));
  });
  $("chips").addEventListener("click", (event) => {
    const chip = event.target.closest("[data-category], [data-all]");
    if (!chip) return;
    const all = "all" in chip.dataset;
    refine({ all, categories: all ? [] : [chip.dataset.category] });
  });
  addEventListener("popstate", () => {
    if (entryHere() !== entry) restore(); // else only the part after # changed
  });
  $("copy").addEventListener("click", copyLink);
}

function listenToRegion() {
  const photo = $("photo");
  photo.addEventListener("region-change", regionButtons);
  photo.addEventListener("region-search", () => refine({ region: region.value }));
  photo.addEventListener("region-clear", clearRegion);
  $("region-start").addEventListener("click", () => region.start());
  $("region-search").addEventListener("click", () => refine({ region: region.value }));
  $("region-clear").addEventListener("click", clearRegion);
}

listen();
listenToRegion();
enlarging(() => answer?.neighbours ?? []);
photos(take, () => {
  if (document.body.dataset.view === "home") $("home-say").replaceChildren(notice(NO_FILE));
});
if (boot.result?.start) run(queryOf(new URL(boot.result.link, location).search), { push: false, focus: false });
else if (boot.result) {
  query = queryOf(new URL(boot.result.link, location).search);
  remember(boot.result, false);
  show(boot.result);
} else if (!boot.error) restore();
