// Queue: what runs, what waits, what is done; one's own jobs, or everybody's. Of other people's only that they are there, and only
// while they are.
import { useEffect, useState } from 'preact/hooks';
import { thumbnailUrl } from '../core/api.js';
import { html } from '../core/html.js';
import { pictureOf, wishOf } from '../core/graph.js';
import { isAdmin, myId, solo } from '../core/session.js';
import { ago, count } from '../core/words.js';
import { Blank, Button, Choice, Failed } from '../parts/controls.js';
import { Form } from '../parts/form.js';
import { Icon } from '../parts/icons.js';
import { openLightbox } from '../parts/lightbox.js';
import { Menu } from '../parts/menu.js';
import { QueueNews } from '../parts/queue-news.js';
import { Ring } from '../parts/ring.js';
import { cancelJob, jobOf, lastTries, retried, retryJobs, rootOf } from '../state/jobs.js';
import {
  busy,
  items,
  itemsState,
  loadItems,
  loadMoreItems,
  moreItems,
  pause,
  paused,
  places,
  resume,
  showWhose,
  stopAllWaiting,
  tidyUp,
  watchItems,
  whose,
} from '../state/queue.js';

const STATUS = { pending: 'Waiting', in_progress: 'Running', waiting: 'Waiting', completed: 'Done', failed: 'Didn’t work', canceled: 'Cancelled' };
const WHOSE = [
  ['mine', 'Yours'],
  ['all', 'Everyone’s'],
];
const isOpen = (item) => ['pending', 'in_progress', 'waiting'].includes(item.status);

/** When it will be, or was. People take turns, and only the server knows whose it is. */
function whenOf(item) {
  if (item.status === 'pending') {
    const n = places.value[item.item_id];
    if (item.held_for) {
      return isAdmin.value || solo.value ? 'waits until its model lies in the server’s model folder (InvokeMUModels)' : 'waits until the server can read its model';
    }
    if (n === undefined) {
      // Administrators are told the place of every job that has one.
      return isAdmin.value ? 'not run, as nobody can sign in to this account' : '';
    }
    return n ? `${count(n, 'job')} before it` : 'next';
  }
  return ago(item.completed_at || item.started_at || item.created_at);
}

function Mark({ item, name, live, prompt }) {
  const [deleted, setDeleted] = useState(false);
  if (item.status === 'in_progress') {
    const shown = live?.preview ? html`<img src=${live.preview} alt="" />` : null;
    return html`<span class="job-mark">${shown}<${Ring} percent=${live?.percent ? Math.round(live.percent * 100) : null} label="Progress" /></span>`;
  }
  if (name && !deleted) {
    return html`<button type="button" class="job-mark" aria-label=${`Open the picture: ${prompt.slice(0, 100) || 'no words'}`} onClick=${() => openLightbox([name], name)}>
      <img src=${thumbnailUrl(name)} alt="" loading="lazy" onError=${() => setDeleted(true)} /></button>`;
  }
  return html`<span class="job-mark"><${Icon} name=${{ failed: 'warn', canceled: 'close', completed: 'check' }[item.status] || 'queue'} /></span>`;
}

/** Nothing that has been tried again already, which has a line of its own. */
const canTryAgain = (item) => ['failed', 'canceled'].includes(item.status) && lastTries(items.value).get(rootOf(item)) === item.item_id;

/** Mine, or any job an administrator may read. */
function Known({ item }) {
  const wish = wishOf(item);
  const busyAgain = retried.value.has(item.item_id);
  const live = jobOf(item.item_id)?.value;
  const name = pictureOf(item);
  const owner = !solo.value && item.user_id !== myId.value ? item.user_display_name || item.user_email : null;
  return html`<li class=${`job ${item.status}`} data-item=${item.item_id}>
    <${Mark} item=${item} name=${name} live=${live} prompt=${wish.prompt} />
    <div class="job-words"><p class="job-prompt">${wish.prompt || 'A job without words'}</p>
      <p class="job-meta">${item.status !== 'completed' && html`<span class="job-status">${STATUS[item.status]}</span>`}<span>${whenOf(item)}</span>${owner && html`<span>${owner}</span>`}
        ${wish.modelName && html`<span>${wish.modelName}</span>`}</p>
      ${item.status === 'failed' && item.error_message && html`<p class="job-error">${item.error_message}</p>`}</div>
    ${isOpen(item) && html`<${Button} kind="quiet" icon="close" onClick=${() => cancelJob(item.item_id)}>Cancel<//>`}
    ${canTryAgain(item) && html`<${Button} kind="quiet" icon="again" busy=${busyAgain} aria-disabled=${busyAgain ? 'true' : undefined} onClick=${() => retryJobs([item.item_id])}>Try again<//>`}
  </li>`;
}

const Foreign = ({ item }) => html`<li class=${`job foreign ${item.status}`} data-item=${item.item_id}><span class="job-mark"><${Icon} name="person" /></span>
  <div class="job-words"><p class="job-prompt">A job of someone else</p><p class="job-meta"><span class="job-status">${STATUS[item.status]}</span><span>${whenOf(item)}</span></p></div></li>`;

const readable = (item) => solo.value || item.user_id === myId.value || (isAdmin.value && item.batch_id !== 'redacted');

function List({ title, list }) {
  return (
    list.length > 0 &&
    html`<section><h2>${title}</h2><ul class="jobs">
      ${list.map((item) => html`<${readable(item) ? Known : Foreign} key=${item.item_id} item=${item} />`)}</ul></section>`
  );
}

/** Nothing of one's own here: says whether others have something, who are shown on the other side. */
function Nothing() {
  const { mine, all } = busy.value;
  const others = all - mine;
  const elsewhere = others && whose.value === 'mine' ? ` ${count(others, 'job')} of others ${others === 1 ? 'is' : 'are'} in the queue.` : '';
  return html`<${Blank} icon="queue" title=${elsewhere ? 'Nothing of yours waits' : 'Nothing waits'}
    action=${html`<a class="button main" href="/create"><${Icon} name="create" /><span>Create a picture</span></a>`}>
    ${`Jobs line up here while pictures are being made.${elsewhere}`}<//>`;
}

/** Running ones first, then in the order in which they will be made. */
const byTurn = (a, b) => Number(b.status === 'in_progress') - Number(a.status === 'in_progress') || place(a) - place(b) || a.item_id - b.item_id;
const place = (item) => places.value[item.item_id] ?? Number.MAX_SAFE_INTEGER;

function Jobs() {
  const state = itemsState.value;
  if (state.failed) {
    return html`<${Failed} what="The queue can’t be read right now" why=${state.failed} again=${loadItems} />`;
  }
  if (state !== 'ready') {
    return html`<ul class="jobs" aria-hidden="true">${[1, 2, 3].map((n) => html`<li class="job skeleton" key=${n}></li>`)}</ul><p class="sr" role="status">Reading the queue</p>`;
  }
  const shown = items.value.filter((item) => isOpen(item) || readable(item));
  if (!shown.length) {
    return html`<${Nothing} />`;
  }
  const open = shown.filter(isOpen).sort(byTurn);
  return html`<${List} title="Now" list=${open} /><${List} title="Done" list=${shown.filter((item) => !isOpen(item))} />
    ${moreItems.value && html`<${Button} kind="quiet" icon="down" onClick=${loadMoreItems}>Show more jobs<//>`}`;
}

/** Asks first: prompts of jobs without a picture are nowhere else. */
function TidyUp({ everyones, onClose }) {
  const whom = everyones ? 'of everyone here' : 'of yours';
  return html`<${Form} title=${everyones ? 'Tidy up for everyone' : 'Tidy up finished jobs'} button=${everyones ? 'Remove everyone’s finished jobs' : 'Remove finished jobs'} danger
    act=${() => tidyUp(everyones)} onClose=${onClose}>
    <p>This removes every finished job ${whom} from the queue${everyones ? ', and from the Create page of each person' : ' and from the Create page'}. Pictures stay in the gallery, with their prompts.</p>
    <p>Prompts of cancelled jobs, and of those that didn’t work, are kept nowhere else. They go too. This can’t be undone.</p>
  <//>`;
}

export function Queue() {
  const [tidying, setTidying] = useState(null);
  useEffect(() => {
    watchItems(true);
    return () => watchItems(false);
  }, []);
  const { mine, all } = busy.value;
  const rights = isAdmin.value || solo.value;
  return html`<div class="page">
    <header class="page-head"><h1>Queue</h1>
      <p class="lead" role="status">${all ? (solo.value ? count(all, 'job') : `${mine} of yours, ${all} in all`) : 'Nothing is running'}${paused.value ? ' · paused' : ''}</p>
      <div class="page-acts">
        ${rights && (paused.value ? html`<${Button} icon="play" onClick=${resume}>Continue<//>` : html`<${Button} kind="quiet" icon="pause" onClick=${pause}>Pause<//>`)}
        <${Menu} label="More for the queue" entries=${[
          { words: rights && !solo.value ? 'Cancel everyone’s waiting jobs' : 'Cancel all my waiting jobs', icon: 'close', act: stopAllWaiting },
          { words: rights && !solo.value ? 'Tidy up my finished jobs' : 'Tidy up finished jobs', icon: 'check', act: () => setTidying('mine') },
          isAdmin.value && { words: 'Tidy up finished jobs of everyone', icon: 'people', danger: true, act: () => setTidying('all') },
        ]} />
        ${tidying && html`<${TidyUp} everyones=${tidying === 'all'} onClose=${() => setTidying(null)} />`}
      </div></header>
    <${QueueNews} />
    ${!solo.value && html`<${Choice} label="Whose jobs" hideLabel value=${whose.value} options=${WHOSE} onPick=${showWhose} />`}
    <${Jobs} />
  </div>`;
}
