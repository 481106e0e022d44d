// What surrounds every page: the rail or the bottom bar, messages, the banner when the line is lost.
import { Component } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { html } from '../core/html.js';
import { link } from '../core/live.js';
import { route } from '../core/router.js';
import { isAdmin, myName, setTheme, signOut, solo, theme } from '../core/session.js';
import { count } from '../core/words.js';
import { busy } from '../state/queue.js';
import { dismiss, spoken, toasts } from '../state/toasts.js';
import { Button, Choice } from './controls.js';
import { Dialog } from './dialog.js';
import { Icon } from './icons.js';

const PLACES = [
  ['/create', 'Create', 'create'],
  ['/gallery', 'Gallery', 'gallery'],
  ['/queue', 'Queue', 'queue'],
];
export const THEMES = [
  ['light', 'Light', 'sun'],
  ['dark', 'Dark', 'moon'],
  ['auto', 'Auto', 'auto'],
];

function Badge() {
  const { mine, all } = busy.value;
  if (!all) {
    return null;
  }
  const words = solo.value ? count(all, 'job') : `${mine || 'none'} of yours, ${all} in all`;
  return html`<span class=${mine ? 'badge mine' : 'badge'} title=${words}><span aria-hidden="true">${solo.value ? all : `${mine}/${all}`}</span>
    <span class="sr">, ${words}</span></span>`;
}

const Place = ({ to, icon, children, badge }) =>
  html`<a class="place" href=${to} aria-current=${route.value.path === to ? 'page' : undefined}>
    <span class="place-icon"><${Icon} name=${icon} />${badge && html`<${Badge} />`}</span><span class="place-word">${children}</span></a>`;

const places = () => PLACES.map(([to, word, icon]) => html`<${Place} key=${to} to=${to} icon=${icon} badge=${to === '/queue'}>${word}<//>`);

export const ThemeChoice = () =>
  html`<${Choice} label="Appearance" value=${theme.value} options=${THEMES} onPick=${setTheme} />`;

function MoreSheet({ onClose }) {
  return html`<${Dialog} title=${solo.value ? 'More' : myName.value} onClose=${onClose}>
    <nav class="sheet-links" aria-label="More" onClick=${(e) => e.target.closest('a') && onClose()}>
      <a href="/models"><${Icon} name="model" />Models</a>
      <a href="/profile"><${Icon} name="person" />${solo.value ? 'Settings' : 'Your profile'}</a>
      ${isAdmin.value && html`<a href="/people"><${Icon} name="people" />People</a>`}
    </nav>
    <${ThemeChoice} />
    ${!solo.value && html`<${Button} icon="out" onClick=${signOut}>Sign out<//>`}
  <//>`;
}

function Navigation() {
  const [more, setMore] = useState(false);
  const { path } = route.value;
  return html`<nav class="rail" aria-label="Main">
    <a class="brand" href="/create" aria-label="invokemu, to the start"><span aria-hidden="true"></span></a>
    ${places()}
    <div class="desk"><${Place} to="/models" icon="model">Models<//></div>
    ${isAdmin.value && html`<div class="desk"><${Place} to="/people" icon="people">People<//></div>`}
    <div class="desk rail-end"><${Place} to="/profile" icon="person">${solo.value ? 'Settings' : 'Me'}<//></div>
    <button type="button" class="place phone" aria-haspopup="dialog" aria-current=${['/models', '/people', '/audit', '/profile'].includes(path) ? 'page' : undefined}
      onClick=${() => setMore(true)}><span class="place-icon"><${Icon} name="more" /></span><span class="place-word">More</span></button>
    ${more && html`<${MoreSheet} onClose=${() => setMore(false)} />`}
  </nav>`;
}

/** Says that live news is missing, but only when the gap lasts. */
function LostLine() {
  const [shown, setShown] = useState(false);
  const lost = link.value === 'lost';
  useEffect(() => {
    if (!lost) {
      setShown(false);
      return undefined;
    }
    const timer = setTimeout(() => setShown(true), 2500);
    return () => clearTimeout(timer);
  }, [lost]);
  return html`<div class="lost" role="status">${shown && html`<p>The connection to the server is lost. Trying again; your jobs are kept there.</p>`}</div>`;
}

export function Toasts() {
  return html`<div class="toasts" role="region" aria-label="Messages">
    ${toasts.value.map(
      (toast) => html`<div class=${`toast ${toast.tone}`} key=${toast.id} role=${toast.tone === 'bad' ? 'alert' : 'status'}>
        <p>${toast.text}</p>
        ${toast.undo && html`<button type="button" class="toast-undo" onClick=${toast.undo}>Undo</button>`}
        <button type="button" class="toast-close" aria-label="Dismiss" onClick=${() => dismiss(toast.id)}><${Icon} name="close" /></button>
      </div>`,
    )}
    <p class="sr" role="status">${spoken.value}</p>
  </div>`;
}

const SHORTCUTS = {
  '/create': [
    ['Enter', 'Create what the prompt says'],
    ['Shift Enter', 'New line in the prompt'],
    ['/', 'To the prompt'],
  ],
  '/gallery': [
    ['Arrow keys', 'From picture to picture, from board to board'],
    ['Enter', 'Open the picture'],
    ['Space', 'Select or unselect'],
    ['S', 'Star'],
    ['Delete', 'Delete; you can undo it'],
    ['Escape', 'Select nothing'],
    ['/', 'Search'],
  ],
};

function Shortcuts() {
  const [open, setOpen] = useState(false);
  const page = route.value.path;
  useEffect(() => {
    const keys = (event) => {
      if (event.target.closest('input, textarea, select, dialog, .pswp') || event.ctrlKey || event.metaKey || event.altKey) {
        return;
      }
      if (event.key === '?') {
        setOpen(true);
      } else if (event.key === '/') {
        const field = document.querySelector('[data-search]');
        if (field) {
          event.preventDefault();
          field.focus();
        }
      }
    };
    document.addEventListener('keydown', keys);
    return () => document.removeEventListener('keydown', keys);
  }, []);
  const list = [...(SHORTCUTS[page] || []), ['?', 'This list'], ['Escape', 'Close what is on top']];
  return (
    open &&
    html`<${Dialog} title="Keys on this page" onClose=${() => setOpen(false)}>
      <dl class="keys">${list.map(([key, words]) => html`<div key=${words}><dt><kbd>${key}</kbd></dt><dd>${words}</dd></div>`)}</dl>
    <//>`
  );
}

/** Keeps a fault in one page from blanking the whole window. */
export class Guard extends Component {
  componentDidCatch(error) {
    this.setState({ error });
  }

  render() {
    if (!this.state?.error) {
      return this.props.children;
    }
    return html`<main class="guard" role="alert"><h1>This page stumbled</h1>
      <p>Your pictures and jobs are safe on the server. Load the page again to go on.</p>
      <${Button} kind="main" icon="again" onClick=${() => location.reload()}>Load again<//></main>`;
  }
}

export function Shell({ children }) {
  return html`<a class="skip" href="#main">To the content</a>
    <${Navigation} />
    <main id="main" class="stage" tabindex="-1"><${LostLine} />${children}</main>
    <${Shortcuts} />`;
}
