// Queue: what runs, what waits, what is done. Of other people's jobs only that they are there, and only while they are.
import { useEffect, useState } from 'preact/hooks';
import { thumbnailUrl } from '../core/api.js';
import { html } from '../core/html.js';
import { pictureOf, wishOf } from '../core/graph.js';
import { isAdmin, myId, solo } from '../core/session.js';
import { ago, count } from '../core/words.js';
import { Blank, Button, Failed } from '../parts/controls.js';
import { Icon } from '../parts/icons.js';
import { openLightbox } from '../parts/lightbox.js';
import { Menu } from '../parts/menu.js';
import { Ring } from '../parts/ring.js';
import { cancelJob, jobOf, retryJob } from '../state/jobs.js';
import { busy, items, itemsState, loadItems, loadMoreItems, moreItems, pause, paused, resume, stopAllWaiting, tidyUp, watchItems } from '../state/queue.js';

const STATUS = { pending: 'Waiting', in_progress: 'Running', waiting: 'Waiting', completed: 'Done', failed: 'Didn’t work', canceled: 'Cancelled' };
const isOpen = (item) => ['pending', 'in_progress', 'waiting'].includes(item.status);

/** How many jobs run before this one. */
const ahead = (item) => items.value.filter((other) => isOpen(other) && other.item_id < item.item_id).length;

function whenOf(item) {
  if (item.status === 'pending') {
    const n = ahead(item);
    return n ? `${count(n, 'job')} before it` : 'next';
  }
  return ago(item.completed_at || item.started_at || item.created_at);
}

function Mark({ item, name, live }) {
  const [deleted, setDeleted] = useState(false);
  if (item.status === 'in_progress') {
    const shown = live?.preview ? html`<img src=${live.preview} alt="" />` : null;
    return html`<span class="job-mark">${shown}<${Ring} percent=${live?.percent ? Math.round(live.percent * 100) : null} label="Progress" /></span>`;
  }
  if (name && !deleted) {
    return html`<button type="button" class="job-mark" aria-label="Open the picture" onClick=${() => openLightbox([name], name)}>
      <img src=${thumbnailUrl(name)} alt="" loading="lazy" onError=${() => setDeleted(true)} /></button>`;
  }
  return html`<span class="job-mark"><${Icon} name=${{ failed: 'warn', canceled: 'close', completed: 'check' }[item.status] || 'queue'} /></span>`;
}

/** Mine, or any job an administrator may read. */
function Known({ item }) {
  const wish = wishOf(item);
  const live = jobOf(item.item_id)?.value;
  const name = pictureOf(item);
  const whose = !solo.value && item.user_id !== myId.value ? item.user_display_name || item.user_email : null;
  return html`<li class=${`job ${item.status}`} data-item=${item.item_id}>
    <${Mark} item=${item} name=${name} live=${live} />
    <div class="job-words"><p class="job-prompt">${wish.prompt || 'A job without words'}</p>
      <p class="job-meta">${item.status !== 'completed' && html`<span class="job-status">${STATUS[item.status]}</span>`}<span>${whenOf(item)}</span>${whose && html`<span>${whose}</span>`}
        ${wish.modelName && html`<span>${wish.modelName}</span>`}</p>
      ${item.status === 'failed' && item.error_message && html`<p class="job-error">${item.error_message}</p>`}</div>
    ${isOpen(item) && html`<${Button} kind="quiet" icon="close" onClick=${() => cancelJob(item.item_id)}>Cancel<//>`}
    ${['failed', 'canceled'].includes(item.status) && html`<${Button} kind="quiet" icon="again" onClick=${() => retryJob(item.item_id)}>Try again<//>`}
  </li>`;
}

const Foreign = ({ item }) => html`<li class=${`job foreign ${item.status}`} data-item=${item.item_id}><span class="job-mark"><${Icon} name="person" /></span>
  <div class="job-words"><p class="job-prompt">A job of someone else</p><p class="job-meta"><span class="job-status">${STATUS[item.status]}</span><span>${whenOf(item)}</span></p></div></li>`;

const readable = (item) => solo.value || item.user_id === myId.value || (isAdmin.value && item.field_values !== null && item.batch_id !== 'redacted');

function List({ title, list }) {
  return (
    list.length > 0 &&
    html`<section><h2>${title}</h2><ul class="jobs">
      ${list.map((item) => html`<${readable(item) ? Known : Foreign} key=${item.item_id} item=${item} />`)}</ul></section>`
  );
}

function Jobs() {
  const state = itemsState.value;
  if (state.failed) {
    return html`<${Failed} what="The queue can’t be read right now" why=${state.failed} again=${loadItems} />`;
  }
  if (state !== 'ready') {
    return html`<ul class="jobs" aria-hidden="true">${[1, 2, 3].map((n) => html`<li class="job skeleton" key=${n}></li>`)}</ul><p class="sr" role="status">Reading the queue</p>`;
  }
  const shown = items.value.filter((item) => isOpen(item) || readable(item));
  if (!shown.length && !moreItems.value) {
    return html`<${Blank} icon="queue" title="Nothing waits" action=${html`<a class="button main" href="/create"><${Icon} name="create" /><span>Create a picture</span></a>`}>
      Jobs line up here while pictures are being made.<//>`;
  }
  const open = shown.filter(isOpen).sort((a, b) => (a.status === 'in_progress' ? 0 : 1) - (b.status === 'in_progress' ? 0 : 1) || a.item_id - b.item_id);
  return html`<${List} title="Now" list=${open} /><${List} title="Done" list=${shown.filter((item) => !isOpen(item))} />
    ${moreItems.value && html`<${Button} kind="quiet" icon="down" onClick=${loadMoreItems}>Show older jobs<//>`}`;
}

export function Queue() {
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
          { words: 'Tidy up finished jobs', icon: 'check', act: tidyUp },
        ]} />
      </div></header>
    ${paused.value && html`<p class="message" role="status">The queue is paused. New jobs wait until ${rights ? 'you continue it' : 'an administrator continues it'}.</p>`}
    <${Jobs} />
  </div>`;
}
