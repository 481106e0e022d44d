// Who is here: the start of the program, signing in and out, and the theme.
import { computed, signal } from '@preact/signals';
import { adoptToken, forgetToken, get, getToken, patch, post, setHooks, setToken } from './api.js';
import { navigate, route } from './router.js';
import { recall, remember } from './storage.js';

const COOKIE_MARK = 'media_cookie';
const SOLO = { user_id: 'system', display_name: null, email: null, is_admin: true };
const SAVED = 'Your password was saved. Sign in with it.';
/** As long as signing out waits for what was still to be done. */
const PARTING_MS = 3000;
const OPEN_PAGES = ['/login', '/setup'];
export const INVITE_PAGE = '/invite';
export const RESET_PAGE = '/reset';
export const CONFIRM_PAGE = '/confirm-email';
export const FORGOT_PAGE = '/forgot';
/** Whoever holds a link may redeem it, and whoever forgot a password ask for one, whether or not somebody is signed in here. */
export const LINK_PAGES = [INVITE_PAGE, RESET_PAGE, CONFIRM_PAGE, FORGOT_PAGE];

/** 'loading', 'ready' or the sentence that says why the program could not start. */
export const boot = signal('loading');
export const server = signal({ setup_required: false, multiuser_enabled: true, strict_password_checking: true });
export const user = signal(null);
/** Why the sign-in page is shown, in words; '' for no special reason. */
export const signedOutReason = signal('');
export const theme = signal(recall('theme') || 'auto');

export const solo = computed(() => !server.value.multiuser_enabled);
export const isAdmin = computed(() => Boolean(user.value?.is_admin) && !solo.value);
export const myId = computed(() => user.value?.user_id);
export const myName = computed(() => user.value?.display_name || user.value?.email || 'Me');

let lastAddress = '';
/** The address of whoever was here until their session ended without their asking, for signing in again; '' for nobody. */
export const wasHere = () => lastAddress;

const leaveHooks = [];
/**
 * Runs `hook({ended})` when the person who was here is gone, so that nothing of theirs stays in memory. `ended` is true when
 * their session ended without their asking: they may be back in a minute.
 */
export const onLeave = (hook) => leaveHooks.push(hook);

const partingHooks = [];
/** Runs `hook` before somebody signs out, while the server still listens to them; signing out waits for what it promises. */
export const onParting = (hook) => partingHooks.push(hook);

export function setTheme(next) {
  theme.value = next;
  remember('theme', next === 'auto' ? null : next);
  document.documentElement.dataset.theme = next === 'auto' ? '' : next;
}

function forget(ended = false) {
  forgetToken();
  leaveHooks.forEach((hook) => hook({ ended }));
  lastAddress = ended ? user.value?.email || lastAddress : '';
  user.value = null;
  sessionStorage.removeItem(COOKIE_MARK);
}

/** To the sign-in page, which leads on to the page that is left here. */
function toSignIn() {
  const { path } = route.value;
  if (!LINK_PAGES.includes(path) && path !== '/login') {
    const bare = path === '/' || OPEN_PAGES.includes(path);
    navigate(bare ? '/login' : `/login?to=${encodeURIComponent(path + location.search)}`, { replace: true });
  }
}

/** The page that was asked for before signing in: a path here, and nothing else that a link might smuggle in. */
function askedFor() {
  const to = route.value.query.get('to') || '';
  return /^\/(?![/\\])/.test(to) && !OPEN_PAGES.includes(to.split('?')[0]) ? to : '/create';
}

function signedOut(why) {
  if (!user.value && boot.value === 'ready') {
    return false;
  }
  const known = Boolean(user.value);
  forget(true);
  signedOutReason.value = why;
  toSignIn();
  return known;
}

/** <img> can't send a token; the media cookie opens pictures for them. */
async function giveImagesTheCookie() {
  if (sessionStorage.getItem(COOKIE_MARK) !== getToken()) {
    await post('/auth/media-cookie').then(
      () => sessionStorage.setItem(COOKIE_MARK, getToken()),
      () => {},
    );
  }
}

function settle(person) {
  user.value = person;
  signedOutReason.value = '';
  if (route.value.path === '/' || OPEN_PAGES.includes(route.value.path)) {
    navigate(askedFor(), { replace: true });
  }
}

async function findOut() {
  const status = await get('/auth/status', null, { anonymous: true });
  server.value = status;
  if (!status.multiuser_enabled) {
    settle(SOLO);
  } else if (status.setup_required) {
    forget();
    navigate('/setup', { replace: true });
  } else if (getToken()) {
    const person = await get('/auth/me');
    await giveImagesTheCookie();
    settle(person);
  } else {
    toSignIn();
  }
}

/** Listens for what concerns the session; once, before the first start(). */
export function watchSession() {
  setHooks({ signedOut, renewed: giveImagesTheCookie });
  addEventListener('storage', (event) => {
    if (event.key === 'auth_token' && adoptToken()) {
      location.assign('/');
    }
  });
}

/** Finds out who is here. May be called again when it failed. */
export async function start() {
  try {
    await findOut();
    boot.value = 'ready';
  } catch (error) {
    boot.value = error.status === 401 ? 'ready' : error.message;
  }
}

export async function signIn(email, password, rememberMe) {
  const answer = await post('/auth/login', { email, password, remember_me: rememberMe }, { anonymous: true });
  setToken(answer.token);
  sessionStorage.setItem(COOKIE_MARK, answer.token);
  settle(answer.user);
}

export async function setUp(account) {
  await post('/auth/setup', account, { anonymous: true });
  server.value = { ...server.value, setup_required: false };
  await signIn(account.email, account.password, true);
}

/** Asks for a link for a new password by mail. The answer is the same whether there is such an account or not. */
export const forgotPassword = (email) => post('/auth/forgot-password', { email }, { anonymous: true });

/** Asks for a link to a new address of one's own. */
export const changeEmail = (email, password) => post('/auth/change-email', { email, current_password: password });

/** Redeems that link. @returns {Promise<string>} the address */
export async function confirmEmail(token) {
  const { email } = await post('/auth/confirm-email', { token }, { anonymous: true });
  if (user.value && getToken()) {
    user.value = await get('/auth/me').catch(() => user.value);
  }
  return email;
}

/**
 * Whom a link is for: of an invitation or a reset, or to a new address. Changes nothing.
 * @param {'password'|'email'} purpose
 * @returns {Promise<string>} the address
 * @throws {ApiError} 404 or 410 when it doesn't work
 */
export const checkLink = async (token, purpose = 'password') => (await post('/auth/check-link', { token, purpose }, { anonymous: true })).email;

/**
 * Redeems the link of an invitation or a reset, and signs its person in instead of whoever was signed in here.
 * @throws {ApiError} 404 or 410 when the link doesn't work, 400 when the password doesn't
 */
export async function acceptInvitation(token, password) {
  const { email } = await post('/auth/accept-invitation', { token, password }, { anonymous: true });
  if (user.value) {
    post('/auth/logout').catch(() => {});
    forget();
  }
  try {
    await signIn(email, password, true);
    navigate('/create', { replace: true });
  } catch {
    signedOutReason.value = SAVED;
    navigate('/login', { replace: true });
  }
}

export async function signOut() {
  const last = partingHooks.map((hook) => hook()).filter(Boolean);
  if (last.length) {
    await Promise.race([Promise.allSettled(last), new Promise((resolve) => setTimeout(resolve, PARTING_MS))]);
  }
  // Sent with the token that is forgotten in the next line.
  post('/auth/logout').catch(() => {});
  forget();
  signedOutReason.value = '';
  navigate('/login', { replace: true });
}

export async function changeName(name) {
  user.value = { ...user.value, ...(await patch('/auth/me', { display_name: name })) };
}

/** The server ends every other session with the change and hands this one a new token. */
export async function changePassword(current, next) {
  const email = user.value.email;
  await post('/auth/change-password', { current_password: current, new_password: next }, { newToken: true });
  const person = await get('/auth/me').catch(() => null);
  if (person) {
    user.value = person;
  } else {
    await signIn(email, next, true);
  }
}
