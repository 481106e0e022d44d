// Create: say it, watch it appear, make it better, keep it.
import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { html } from '../core/html.js';
import { recall, remember } from '../core/storage.js';
import { Blank, Button, Failed } from '../parts/controls.js';
import { Dialog } from '../parts/dialog.js';
import { QueueNews } from '../parts/queue-news.js';
import { needBoards } from '../state/boards.js';
import { cards, feedState, loadFeed, loadMoreJobs, moreJobs } from '../state/jobs.js';
import { model, prompt, refreshModels } from '../state/wish.js';
import { Card } from './card.js';
import { Composer } from './composer.js';
import { Settings } from './settings.js';
import { Starters } from './starters.js';

const IDEAS = [
  'A small lighthouse in a storm, oil painting',
  'A fox asleep in the first snow, soft morning light',
  'A street of crooked houses at dusk, watercolour',
];

/** The panel on a desk, and the sheet everywhere else. */
const panelOpen = signal(recall('settings-panel') !== 'closed');
const sheetOpen = signal(false);
const wide = matchMedia('(min-width: 1024px)');

function toggleSettings() {
  if (wide.matches) {
    panelOpen.value = !panelOpen.value;
    remember('settings-panel', panelOpen.value ? null : 'closed');
  } else {
    sheetOpen.value = !sheetOpen.value;
  }
}

function Skeleton() {
  return html`<ul class="feed" aria-hidden="true">${[0, 1, 2, 3, 4, 5].map((n) => html`<li class="card skeleton" key=${n}><div class="tiles n1"><div class="tile"></div></div><p></p></li>`)}</ul>
    <p class="sr" role="status">Reading your pictures</p>`;
}

function Ideas() {
  const take = (idea) => {
    prompt.value = idea;
    document.querySelector('.composer textarea').focus();
  };
  // A model with suggestions of its own has them below the composer.
  if (model.value?.suggestions) {
    return html`<${Blank} icon="create" title="Your pictures will appear here">Write what you want to see and press Create, or start from one of the prompts above.<//>`;
  }
  return html`<${Blank} icon="create" title="Your pictures will appear here"
    action=${html`<ul class="ideas">${IDEAS.map((idea) => html`<li key=${idea}><button type="button" onClick=${() => take(idea)}>${idea}</button></li>`)}</ul>`}>
    Write what you want to see and press Create. Or start from one of these.<//>`;
}

/** Asks for more as soon as its place comes near the screen. */
function More() {
  const ref = useRef();
  useEffect(() => {
    const watcher = new IntersectionObserver((entries) => entries[0].isIntersecting && loadMoreJobs(), { rootMargin: '600px' });
    watcher.observe(ref.current);
    return () => watcher.disconnect();
  }, [cards.value.length]);
  return html`<div ref=${ref} class="more-jobs"><${Button} kind="quiet" onClick=${loadMoreJobs}>Show older pictures<//></div>`;
}

function Feed() {
  const state = feedState.value;
  if (state.failed && !cards.value.length) {
    return html`<${Failed} what="Your pictures can’t be read right now" why=${state.failed} again=${loadFeed} />`;
  }
  if (!cards.value.length) {
    return state === 'ready' ? html`<${Ideas} />` : html`<${Skeleton} />`;
  }
  return html`<ul class="feed">${cards.value.map((card) => html`<${Card} key=${card.stays || card.key} card=${card} />`)}</ul>
    ${moreJobs.value && html`<${More} />`}`;
}

export function Create() {
  useEffect(() => {
    needBoards();
    loadFeed();
    refreshModels();
  }, []);
  const docked = panelOpen.value;
  return html`<div class=${docked ? 'with-panel open' : 'with-panel'}>
    <div class="create">
      <h1 class="sr">Create</h1>
      <${Composer} toggleSettings=${toggleSettings} panelOpen=${docked} />
      <${Starters} />
      <${QueueNews} />
      <section class="feed-place" aria-label="Your pictures, newest first"><${Feed} /></section>
    </div>
    ${docked &&
    html`<aside class="panel" aria-label="Settings"><header class="panel-head"><h2>Settings</h2>
      <${Button} kind="quiet" icon="close" bare onClick=${toggleSettings}>Close settings<//></header><${Settings} /></aside>`}
    ${sheetOpen.value && html`<${Dialog} title="Settings" kind="side" onClose=${toggleSettings}><${Settings} /><//>`}
  </div>`;
}
