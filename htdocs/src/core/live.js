// Live events over Socket.IO. Loaded only when somebody is signed in.
import { effect, signal } from '@preact/signals';
import { get, getToken } from './api.js';
import { boot, user } from './session.js';

/** 'off' before the first connection, then 'on' or 'lost'. */
export const link = signal('off');

const ASK_MS = 1000;
const RETRY_MS = 3000;
const handlers = new Map();
let socket = null;
let owner = null;

/** Calls `handler(payload)` for each event of that name; 'connected' comes first, 'reconnected' after every gap. */
export function on(event, handler) {
  handlers.set(event, [...(handlers.get(event) || []), handler]);
  return () => handlers.set(event, handlers.get(event).filter((other) => other !== handler));
}

const dispatch = (event, payload) => (handlers.get(event) || []).forEach((handler) => handler(payload));

function connected() {
  const again = link.value === 'lost';
  link.value = 'on';
  socket.emit('subscribe_queue', { queue_id: 'default' });
  dispatch(again ? 'reconnected' : 'connected');
}

/**
 * The server closed or refused the line, which the socket takes for final. Asking for something tells why: either the
 * session has ended, and the sign-in page comes, or it was a passing trouble.
 */
async function refused() {
  const which = socket;
  // A change of the own password closes the line too; its answer brings the new token in the meantime.
  await new Promise((resolve) => setTimeout(resolve, ASK_MS));
  if (which === socket) {
    await get('/queue/default/status').catch(() => {});
  }
  setTimeout(() => which === socket && socket?.connect(), RETRY_MS);
}

async function open(person) {
  owner = person;
  const { io } = await import('socket.io-client');
  if (owner !== person || socket) {
    return;
  }
  socket = io({ path: '/ws/socket.io', auth: (send) => send(getToken() ? { token: getToken() } : {}) });
  socket.on('connect', connected);
  ['disconnect', 'connect_error'].forEach((event) =>
    socket.on(event, () => {
      if (socket) {
        link.value = 'lost';
        if (!socket.active) {
          refused();
        }
      }
    }),
  );
  socket.onAny(dispatch);
}

function close() {
  const old = socket;
  owner = null;
  socket = null;
  old?.disconnect();
  link.value = 'off';
}

/** The program of the line itself may be out of reach at first. */
function keepOpening(person) {
  open(person).catch(() => {
    link.value = 'lost';
    setTimeout(() => owner === person && keepOpening(person), RETRY_MS);
  });
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
      keepOpening(person);
    }
  });
  effect(() => {
    document.documentElement.dataset.live = link.value;
  });
}
