// The one call of the page: POST /api/search.

import { t, told } from "./texts.js";

const TIME_LIMIT = 90_000;

/** What went wrong, in the words of the server where it had any. */
export class SearchError extends Error {
  constructor({ code, message, hint }) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

const words = (code, key) => ({ code, message: t(`${key}_message`), hint: t(`${key}_hint`) });
const OFFLINE = words("offline", "offline");
const TOO_SLOW = words("timeout", "slow");
const STRANGE = words("server_fault", "strange");
const REFUSED = words("too_large", "refused"); // by a proxy before the page, whose answer is its own

/**
 * Search.
 * @param {{file?: File, photo?: string, like?: string, categories: string[], all: boolean, region: number[]?,
 *   start?: number}} query
 * @param {AbortSignal} signal ends the call; the promise is then never settled
 * @param {(share: number) => void} sending told which share of the photo was sent; 1 once all of it is there
 * @returns {Promise<object>} the answer; rejects with a SearchError
 */
export function search(query, signal, sending) {
  // Not fetch, which says nothing about how much of an upload was sent.
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    const fail = (words) => reject(new SearchError(words));
    call.open("POST", "api/search");
    call.setRequestHeader("X-Requested-With", "XMLHttpRequest"); // no page of another site can send it
    call.timeout = TIME_LIMIT;
    call.upload.onprogress = (event) => event.lengthComputable && sending(event.loaded / event.total);
    call.upload.onload = () => sending(1);
    call.onerror = () => fail(OFFLINE);
    call.ontimeout = () => fail(TOO_SLOW);
    call.onload = () => {
      const answer = parsed(call.responseText);
      if (call.status === 200 && answer?.neighbours) resolve(answer);
      else if (answer?.error?.message) fail(told(answer.error));
      else fail(call.status === 413 ? REFUSED : STRANGE);
    };
    signal.addEventListener("abort", () => call.abort());
    call.send(form(query));
  });
}

function form({ file, photo, like, categories, all, region, start }) {
  const data = new FormData();
  if (file) data.append("picture", file, file.name || "photo");
  else if (photo) data.append("photo", photo);
  else data.append("like", like);
  for (const name of categories) data.append("category", name);
  if (all) data.append("all", "1");
  if (start) data.append("start", start);
  if (region) data.append("region", region.join(","));
  return data;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
