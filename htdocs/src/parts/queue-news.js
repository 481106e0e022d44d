// Why jobs only wait: the queue is paused, or nothing is there that could make pictures.
import { html } from '../core/html.js';
import { isAdmin, solo } from '../core/session.js';
import { idle, paused } from '../state/queue.js';

function words() {
  const rights = isAdmin.value || solo.value;
  if (paused.value) {
    return `The queue is paused. New jobs wait until ${rights ? 'you continue it' : 'an administrator continues it'}.`;
  }
  if (idle.value) {
    return `Nothing is being made just now: the part of this server that makes pictures is not running. ${
      rights ? 'Start it on the server; what waits goes on by itself then.' : 'What you ask for waits; whoever looks after the server can start it.'
    }`;
  }
  return '';
}

export function QueueNews() {
  const text = words();
  return text && html`<p class="message" role="status">${text}</p>`;
}
