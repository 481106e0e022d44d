// A card of the feed: one wish and its pictures, each in the place where it will stay.
import { useEffect, useState } from 'preact/hooks';
import { pictureUrl, thumbnailUrl } from '../core/api.js';
import { html } from '../core/html.js';
import { ago, timeLeft, toDate } from '../core/words.js';
import { Button } from '../parts/controls.js';
import { Icon } from '../parts/icons.js';
import { Menu } from '../parts/menu.js';
import { openLightbox } from '../parts/lightbox.js';
import { Ring } from '../parts/ring.js';
import { cancelCard, cancelJob, cards, createPictures, isFinal, retried, retryJobs } from '../state/jobs.js';
import { boardById } from '../state/boards.js';
import { forgotten, picture, remove, toggleStar, want } from '../state/pictures.js';
import { defaults, MAX_COUNT, models, modelsThere, noModel, takeOver } from '../state/wish.js';
import { say } from '../state/toasts.js';

/** Every finished picture of the feed in reading order, for going through them in the lightbox. */
const shownPictures = () => cards.value.flatMap((card) => card.jobs.map((job) => job.value).filter((j) => j.picture && !j.gone).map((j) => j.picture));

function secondsLeft(job) {
  const spent = (Date.now() - toDate(job.started).getTime()) / 1000;
  return job.percent > 0.04 ? (spent / job.percent) * (1 - job.percent) : NaN;
}

function Running({ job, small }) {
  const percent = Math.round((job.percent || 0) * 100);
  const denoising = percent >= 100 ? 'finishing' : job.percent ? timeLeft(secondsLeft(job)) : 'getting ready';
  const left = job.message === 'Loading the model' ? 'loading the model' : denoising;
  const waiting = job.awaits ? 'waiting for its model' : small ? 'waiting' : 'waiting its turn';
  const words = job.status === 'in_progress' ? left : job.sending ? 'sending' : waiting;
  return html`${job.preview && html`<img class="preview" src=${job.preview} alt="" />`}
    <div class="running">
      <${Ring} percent=${job.status === 'in_progress' ? percent : null} label=${`Progress of “${job.wish.prompt.slice(0, 60)}”`} />
      <p class="running-words">${words}</p>
      ${!job.sending && html`<${Button} kind="on-picture" icon="close" bare=${small} onClick=${() => cancelJob(job.id)}>Cancel<//>`}
    </div>`;
}

/** What became of a job without a picture to show: its mark, its words, and whether it can be tried again. */
function outcome(job) {
  if (job.status === 'failed') {
    return ['warn', 'This one didn’t work.', true];
  }
  if (job.gone) {
    return ['trash', 'Deleted', false];
  }
  return job.status === 'completed' ? ['check', 'Done, without a picture', false] : ['close', 'Cancelled', true];
}

function Ended({ job, small }) {
  const [icon, words, again] = outcome(job);
  const busy = retried.value.has(job.id);
  return html`<div class="ended"><${Icon} name=${icon} /><p>${words}</p>
    ${again && html`<${Button} icon="again" bare=${small} busy=${busy} aria-disabled=${busy ? 'true' : undefined} onClick=${() => retryJobs([job.id])}>Try again<//>`}</div>`;
}

/** Below the pictures: why some of them are missing, in words that have room, and a way to try all of them again. */
function Missing({ jobs }) {
  const failed = jobs.filter((job) => job.status === 'failed');
  const stopped = jobs.filter((job) => job.status === 'canceled' && !job.gone);
  const reasons = [...new Set(failed.map((job) => job.error).filter(Boolean))];
  const again = [...failed, ...stopped].map((job) => job.id);
  const of = (list) => (list.length === jobs.length ? `All ${jobs.length}` : `${list.length} of ${jobs.length}`);
  if (!reasons.length && (jobs.length === 1 || !again.length)) {
    return null;
  }
  const busy = again.every((id) => retried.value.has(id));
  return html`<div class="card-missing" role="status">
    ${failed.length > 0 && html`<p class="bad">${jobs.length > 1 && `${of(failed)} didn’t work. `}${reasons.join(' ')}</p>`}
    ${jobs.length > 1 && stopped.length > 0 && html`<p>${of(stopped)} cancelled.</p>`}
    ${again.length > 1 && html`<${Button} kind="quiet" icon="again" busy=${busy} aria-disabled=${busy ? 'true' : undefined} onClick=${() => retryJobs(again)}>Try these ${again.length} again<//>`}
  </div>`;
}

function Picture({ job, full }) {
  const name = job.picture;
  const [sharp, setSharp] = useState(false);
  const record = picture(name).value;
  const open = () => openLightbox(shownPictures(), name);
  // Tells whether it is starred, and whether it is still there.
  useEffect(() => want([name]), [name, forgotten.value]);
  return html`<button type="button" class="open" onClick=${open}
      data-picture=${name} aria-label=${`Open: ${job.wish.prompt.slice(0, 100) || 'picture'}`}>
      ${job.preview && !sharp && html`<img class="preview" src=${job.preview} alt="" />`}
      <img class=${sharp ? 'final sharp' : 'final'} src=${full ? pictureUrl(name) : thumbnailUrl(name)} alt="" loading="lazy" decoding="async"
        onLoad=${() => setSharp(true)} />
    </button>
    <div class="on-tile">
      <${Button} kind="on-picture" icon="star" bare class=${record?.starred ? 'starred' : ''} aria-pressed=${String(Boolean(record?.starred))}
        onClick=${() => toggleStar([name])}>Star<//>
    </div>`;
}

function Tile({ job: source, full }) {
  const job = source.value;
  const done = job.picture && !job.gone;
  const body = done
    ? html`<${Picture} job=${job} full=${full} />`
    : isFinal(job) && (job.status !== 'completed' || job.gone || job.settled)
      ? html`<${Ended} job=${job} small=${!full} />`
      : html`<${Running} job=${job} small=${!full} />`;
  return html`<div class=${`tile ${done ? 'done' : job.status}`} data-item=${job.id} data-status=${job.status}>${body}</div>`;
}

/** "2 minutes ago", kept right while it is on screen. */
function Ago({ time }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 30000);
    return () => clearInterval(timer);
  }, []);
  return html`<time dateTime=${toDate(time).toISOString()}>${ago(time)}</time>`;
}

async function again(card, changes = {}) {
  const { wish } = card;
  await modelsThere();
  const model = models.value.find((m) => m.key === wish.modelKey) || models.value[0];
  if (!model) {
    say(noModel.value, 'bad');
    return;
  }
  const boardId = wish.boardId && boardById(wish.boardId) ? wish.boardId : null;
  const many = card.jobs.length;
  if (many > MAX_COUNT && !changes.count) {
    say(`There are ${many} here. Again makes ${MAX_COUNT}, the most at a time.`);
  }
  const usable = Object.fromEntries(Object.entries(wish).filter(([, value]) => value !== undefined));
  createPictures({ ...defaults.value, ...usable, model, modelKey: model.key, modelName: model.name, boardId, seed: null, count: Math.min(many, MAX_COUNT), ...changes });
  scrollTo({ top: 0 });
}

function reuse(card, seed) {
  takeOver(card.wish, { seed });
  scrollTo({ top: 0 });
  document.querySelector('.composer textarea')?.focus();
}

export function Card({ card }) {
  const { wish, jobs } = card;
  const finished = jobs.filter((job) => job.value.picture && !job.value.gone).map((job) => job.value.picture);
  const waiting = jobs.filter((job) => !isFinal(job.value) && !job.value.sending);
  const size = `n${jobs.length <= 4 ? jobs.length : jobs.length <= 9 ? 9 : 16}`;
  return html`<li class="card">
    <div class=${`tiles ${size}`}>${jobs.map((job, i) => html`<${Tile} key=${i} job=${job} full=${jobs.length === 1} />`)}</div>
    <${Missing} jobs=${jobs.map((job) => job.value)} />
    <div class="card-text">
      <p class="card-prompt" title=${wish.prompt}>${wish.prompt || 'No words'}</p>
      <div class="card-row">
        <p class="card-meta"><${Ago} time=${card.created} /></p>
        <${Button} kind="quiet" icon="again" onClick=${() => again(card)} title="Same settings, new seed">Again<//>
        <${Menu} label="More for this card" entries=${[
          { words: 'Edit the prompt', icon: 'edit', act: () => reuse(card, false) },
          { words: 'Use all settings and the seed', icon: 'use', act: () => reuse(card, true) },
          jobs.length === 1 && { words: 'Four of this', icon: 'gallery', act: () => again(card, { count: 4 }) },
          waiting.length > 1 && { words: `Cancel all ${waiting.length}`, icon: 'close', act: () => cancelCard(card) },
          finished.length && {
            words: finished.length > 1 ? `Delete ${finished.length} pictures` : 'Delete the picture',
            icon: 'trash',
            danger: true,
            act: () => remove(finished),
          },
        ]} />
      </div>
    </div>
  </li>`;
}
