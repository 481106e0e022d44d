// Live events over Socket.IO. Loaded only when somebody is signed in.
import { effect, signal } from '@preact/signals';
import { getToken } from './api.js';
import { boot, user } from './session.js';

/** 'off' before the first connection, then 'on' or 'lost'. */
export const link = signal('off');

const handlers = new Map();
let socket = null;
let owner = null;

/** Calls `handler(payload)` for each event of that name; 'reconnected' comes after every gap. */
export function on(event, handler) {
  handlers.set(event, [...(handlers.get(event) || []), handler]);
}

const dispatch = (event, payload) => (handlers.get(event) || []).forEach((handler) => handler(payload));

function connected() {
  const again = link.value === 'lost';
  link.value = 'on';
  socket.emit('subscribe_queue', { queue_id: 'default' });
  if (again) {
    dispatch('reconnected');
  }
}

async function open(person) {
  owner = person;
  const { io } = await import('socket.io-client');
  if (owner !== person || socket) {
    return;
  }
  socket = io({ path: '/ws/socket.io', auth: (send) => send(getToken() ? { token: getToken() } : {}) });
  socket.on('connect', connected);
  socket.on('disconnect', () => {
    link.value = 'lost';
  });
  socket.on('connect_error', () => {
    link.value = 'lost';
  });
  socket.onAny(dispatch);
}

function close() {
  owner = null;
  socket?.disconnect();
  socket = null;
  link.value = 'off';
}

/** Keeps one connection open while somebody is signed in and may use the queue. */
export function startLive() {
  effect(() => {
    const person = user.value && !user.value.must_change_password && boot.value === 'ready' ? user.value.user_id : null;
    if (person === owner) {
      return;
    }
    close();
    if (person) {
      open(person).catch(() => {
        link.value = 'lost';
        owner = null;
      });
    }
  });
}
