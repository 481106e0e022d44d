// Where everything starts: picks the page for the address and puts it on screen.
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { keepFocus } from './core/focus.js';
import { html } from './core/html.js';
import { on, startLive } from './core/live.js';
import { navigate, route, startRouter } from './core/router.js';
import { boot, CONFIRM_PAGE, FORGOT_PAGE, INVITE_PAGE, isAdmin, LINK_PAGES, RESET_PAGE, server, solo, start, user, watchSession } from './core/session.js';
import { Create } from './pages/create.js';
import { Button } from './parts/controls.js';
import { Guard, Shell, Toasts } from './parts/shell.js';
import { startBoards } from './state/boards.js';
import { startJobs } from './state/jobs.js';
import { startPictures } from './state/pictures.js';
import { startQueue } from './state/queue.js';
import { startToasts } from './state/toasts.js';
import { startWish } from './state/wish.js';

const TITLES = {
  '/create': 'Create',
  '/gallery': 'Gallery',
  '/queue': 'Queue',
  '/models': 'Models',
  '/people': 'People',
  '/audit': 'Audit log',
  '/profile': 'Your profile',
  '/login': 'Sign in',
  '/setup': 'Welcome',
  [INVITE_PAGE]: 'Choose your password',
  [RESET_PAGE]: 'Choose a new password',
  [CONFIRM_PAGE]: 'Your email address',
  [FORGOT_PAGE]: 'Forgot your password?',
};
const RETRY_MS = 15000;
const LATER = {
  '/gallery': () => import('./pages/gallery.js').then((m) => m.Gallery),
  '/queue': () => import('./pages/queue.js').then((m) => m.Queue),
  '/models': () => import('./pages/models.js').then((m) => m.Models),
  '/people': () => import('./pages/people.js').then((m) => m.People),
  '/audit': () => import('./pages/audit.js').then((m) => m.Audit),
  '/profile': () => import('./pages/profile.js').then((m) => m.Profile),
  '/login': () => import('./pages/enter.js').then((m) => m.SignIn),
  '/setup': () => import('./pages/enter.js').then((m) => m.SetUp),
  [INVITE_PAGE]: () => import('./pages/enter.js').then((m) => m.Invitation),
  [RESET_PAGE]: () => import('./pages/enter.js').then((m) => m.Invitation),
  [CONFIRM_PAGE]: () => import('./pages/by-mail.js').then((m) => m.ConfirmEmail),
  [FORGOT_PAGE]: () => import('./pages/by-mail.js').then((m) => m.Forgot),
  '/new-password': () => import('./pages/enter.js').then((m) => m.NewPassword),
};

/** Whether a page is missing because it could not be fetched; a browser may refuse to fetch it twice. */
let missing = false;

/** A page that arrives when it is first wanted. */
function Later({ path }) {
  const [state, setState] = useState({});
  useEffect(() => {
    let here = true;
    LATER[path]().then(
      (page) => here && setState({ path, page }),
      () => {
        if (here) {
          missing = true;
          setState({ path, failed: true });
        }
      },
    );
    return () => {
      here = false;
      missing = false;
    };
  }, [path]);
  if (state.path !== path) {
    return html`<div class="page"><p class="sr" role="status">Opening…</p></div>`;
  }
  if (state.failed) {
    return html`<div class="guard" role="alert"><h1>This page didn’t arrive</h1>
      <p>The connection may be down, or the server was updated. Load the page again; when the connection comes back, that happens by itself.</p>
      <${Button} kind="main" icon="again" onClick=${() => location.reload()}>Load again<//></div>`;
  }
  return html`<${state.page} />`;
}

const Closed = () => html`<div class="blank"><h1>${solo.value ? 'There is only you here' : 'This page is for administrators'}</h1>
  <p>${
    solo.value
      ? 'This server is set up for one person, without accounts.'
      : 'Here they add people and help with lost passwords. If you need something changed, ask one of them.'
  }</p>
  <a class="button main" href="/create">To the start</a></div>`;

const Lost = () => html`<div class="blank"><h1>Nothing lives at this address</h1>
  <p>The link may be old or mistyped.</p><a class="button main" href="/create">To the start</a></div>`;

function Unreachable() {
  useEffect(() => {
    const timer = setInterval(start, RETRY_MS);
    return () => clearInterval(timer);
  }, []);
  return html`<main class="guard" role="alert"><h1>This server can’t be reached</h1><p>${boot.value}</p>
    <${Button} kind="main" icon="again" onClick=${start}>Try again<//></main>`;
}

function inner(path) {
  if (path === '/create') {
    return html`<${Create} />`;
  }
  if (['/people', '/audit'].includes(path) && !isAdmin.value) {
    return html`<${Closed} />`;
  }
  const closed = ['/login', '/setup', ...LINK_PAGES].includes(path);
  return LATER[path] && !closed ? html`<${Later} path=${path} />` : html`<${Lost} />`;
}

function App() {
  const { path } = route.value;
  useEffect(() => {
    document.title = TITLES[path] ? `${TITLES[path]} · invokemu` : 'invokemu';
    // By now who is here may have been found out, and have led elsewhere.
    if (route.peek().path === '/') {
      navigate('/create', { replace: true });
    }
  }, [path]);
  if (boot.value === 'loading') {
    return html`<p class="boot" role="status">Opening…</p>`;
  }
  if (boot.value !== 'ready') {
    return html`<${Unreachable} />`;
  }
  if (LINK_PAGES.includes(path) && !solo.value && !server.value.setup_required) {
    return html`<${Later} path=${path} />`;
  }
  if (!user.value) {
    return html`<${Later} path=${server.value.setup_required ? '/setup' : '/login'} />`;
  }
  if (user.value.must_change_password && !solo.value) {
    return html`<${Later} path="/new-password" />`;
  }
  return html`<${Shell}><${Guard} key=${path}>${inner(path)}<//><//>`;
}

// A file that is dropped where it means nothing must not take the place of the page.
['dragover', 'drop'].forEach((type) =>
  addEventListener(type, (event) => {
    if (!event.defaultPrevented && event.dataTransfer?.types.includes('Files')) {
      event.preventDefault();
      event.dataTransfer.dropEffect = 'none';
    }
  }),
);
on('reconnected', () => missing && location.reload());
startRouter();
watchSession();
keepFocus();
[startToasts, startWish, startJobs, startPictures, startBoards, startQueue, startLive].forEach((begin) => begin());
document.getElementById('app').textContent = '';
render(html`<${Guard}><${App} /><${Toasts} /><//>`, document.getElementById('app'));
start();
