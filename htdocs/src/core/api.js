// The one way to the server: adds the token, follows its renewal, and turns every failure into an ApiError whose
// message a person can read.
import { recall, remember } from './storage.js';

const TOKEN = 'auth_token';
const TOKEN_SINCE = 'auth_token_since';
/** What the server is too busy to take is sent again: for so long, and after so long where it names no time. */
const PATIENCE_MS = 3 * 60 * 1000;
const BUSY_MS = 2000;
/** The server offers a newer token with every change; one every few minutes keeps a session going. */
const RENEW_MS = 5 * 60 * 1000;
/** A question that got no answer at all is asked once more, after this long. */
const AGAIN_MS = 400;
const V1 = '/api/v1';
const LOST = 'No answer from the server. Check that it is running and that you are on its network, then try again.';

let token = recall(TOKEN);
let onSignedOut = () => {};
let onRenewed = () => {};
/** Counts the people who were here one after another. What was asked for one of them must not reach the next. */
let turn = 0;
const NEVER = new Promise(() => {});

export class ApiError extends Error {
  /** @param {number} status HTTP status, 0 when no answer came at all */
  constructor(status, message, extra = {}) {
    super(message);
    this.status = status;
    Object.assign(this, extra);
  }
}

export const getToken = () => token;

export function setToken(next) {
  token = next;
  remember(TOKEN, next);
  remember(TOKEN_SINCE, next && String(Date.now()));
}

/** The person who was here is gone: what they still wait for is answered to nobody. */
export function forgetToken() {
  turn += 1;
  setToken(null);
}

/** Another tab signed in or out: takes over its token. Returns whether it changed. */
export function adoptToken() {
  const stored = recall(TOKEN);
  const changed = stored !== token;
  token = stored;
  return changed;
}

/**
 * @param {{signedOut: (why: string) => boolean, renewed: (token: string) => void}} hooks signedOut answers whether the
 *   person sees why, so that the call that met it has nothing to add
 */
export function setHooks(hooks) {
  onSignedOut = hooks.signedOut;
  onRenewed = hooks.renewed;
}

const FIELDS = {
  email: 'email address',
  password: 'password',
  display_name: 'name',
  new_password: 'new password',
  board_name: 'name of the board',
};

function sentence(status, body, retryAfter) {
  const detail = body?.detail;
  if (status === 429) {
    const what = typeof detail === 'string' && detail ? detail.split('. ')[0].replace(/\.$/, '') : 'Too many requests';
    const wait = retryAfter ? `${retryAfter} ${retryAfter === 1 ? 'second' : 'seconds'}` : 'a little';
    return `${what}. Wait ${wait}, then try again.`;
  }
  if (typeof detail === 'string' && detail && status < 500) {
    return detail;
  }
  if (Array.isArray(detail) && detail.length) {
    const field = FIELDS[detail[0].loc?.at(-1)];
    return field ? `Check the ${field}: ${detail[0].msg}` : detail[0].msg;
  }
  if (status === 413) {
    return 'That is larger than this server accepts.';
  }
  if (status === 403) {
    return 'You aren’t allowed to do that here.';
  }
  if (status === 404) {
    return 'That is no longer there.';
  }
  return 'Something went wrong on the server. Try again; if it goes on, tell the administrator.';
}

function address(path, query) {
  const url = path.startsWith('/api/') ? path : V1 + path;
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query || {})) {
    if (value !== undefined && value !== null) {
      params.append(key, value);
    }
  }
  const text = params.toString();
  return text ? `${url}?${text}` : url;
}

async function readBody(response) {
  if (!response.headers.get('content-type')?.includes('json')) {
    return null;
  }
  return response.json().catch(() => null);
}

function takeRenewal(response, used, atOnce) {
  const next = response.headers.get('x-refreshed-token');
  const due = atOnce || Date.now() - Number(recall(TOKEN_SINCE)) > RENEW_MS;
  if (next && due && used === token) {
    setToken(next);
    onRenewed(next);
  }
}

/** One lost connection is no news; only what reads may be sent twice. */
async function ask(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === 'AbortError' || options.method !== 'GET') {
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    return fetch(url, options);
  }
}

/**
 * Calls the server. Paths are below /api/v1 unless they start with /api/.
 * @param {{json?: any, form?: FormData, query?: object, anonymous?: boolean, keepalive?: boolean,
 *          signal?: AbortSignal, newToken?: boolean}} options newToken: the call ends the token that it is made with
 * @returns {Promise<any>} the JSON of the answer, null when it had none; stays open when the person left in the meantime
 * @throws {ApiError}
 */
export async function api(method, path, { json, form, query, anonymous, keepalive, signal, newToken } = {}) {
  const used = anonymous ? null : token;
  const asked = turn;
  const late = () => !anonymous && asked !== turn;
  const headers = used ? { authorization: `Bearer ${used}` } : {};
  if (json !== undefined) {
    headers['content-type'] = 'application/json';
  }
  const body = form || (json === undefined ? undefined : JSON.stringify(json));
  let response;
  try {
    response = await ask(address(path, query), { method, headers, body, keepalive, signal });
  } catch (error) {
    if (late()) {
      return NEVER;
    }
    throw error.name === 'AbortError' ? error : new ApiError(0, LOST);
  }
  const answer = await readBody(response);
  if (late()) {
    return NEVER;
  }
  if (response.ok) {
    takeRenewal(response, used, newToken);
    return answer;
  }
  const retryAfter = Number(response.headers.get('retry-after')) || 0;
  const failure = new ApiError(response.status, sentence(response.status, answer, retryAfter), { retryAfter });
  if (response.status === 401 && used && used === token) {
    if (onSignedOut(failure.message)) {
      return NEVER;
    }
  }
  throw failure;
}

/** Makes a call again that the server was too busy for (429). Whoever left in the meantime sends nothing more. */
export async function patiently(call) {
  const asked = turn;
  const end = Date.now() + PATIENCE_MS;
  while (asked === turn) {
    try {
      return await call();
    } catch (error) {
      if (error.status !== 429 || Date.now() >= end) {
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, error.retryAfter * 1000 || BUSY_MS));
    }
  }
  return NEVER;
}

export const get = (path, query, options) => api('GET', path, { query, ...options });
export const post = (path, json, options) => api('POST', path, { json, ...options });
export const put = (path, json, options) => api('PUT', path, { json, ...options });
export const patch = (path, json) => api('PATCH', path, { json });
export const del = (path, options) => api('DELETE', path, options);

export const thumbnailUrl = (name) => `${V1}/images/i/${encodeURIComponent(name)}/thumbnail`;
export const pictureUrl = (name) => `${V1}/images/i/${encodeURIComponent(name)}/full`;
