// One family of icons: a 24 point grid, round strokes of 1.75.
import { html } from '../core/html.js';

const PATHS = {
  create: 'M12 3v4M12 17v4M3 12h4M17 12h4M6 6l2 2M16 16l2 2M18 6l-2 2M8 16l-2 2',
  gallery: 'M4 5h16v14H4zM4 15l4.5-4.5 4 4L15 12l5 5M15.5 8.5h.01',
  queue: 'M5 6h14M5 12h9M5 18h6M17 15v4l3-2z',
  people: 'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20c.4-3.6 3-5.5 6.5-5.5s6.1 1.9 6.5 5.5M16 4.3a3.5 3.5 0 0 1 0 6.4M18 14.9c2 .8 3.3 2.5 3.5 5.1',
  model: 'M12 3.5l8 4.5v8l-8 4.5L4 16V8zM4 8l8 4.5L20 8M12 12.5v8',
  person: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20.5c.6-3.9 3.5-5.8 7.5-5.8s6.9 1.9 7.5 5.8',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  close: 'M6 6l12 12M18 6L6 18',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  star: 'M12 3.8l2.5 5.2 5.7.8-4.1 4 1 5.7-5.1-2.7-5.1 2.7 1-5.7-4.1-4 5.7-.8z',
  trash: 'M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.4L17.5 7M10 11v5M14 11v5',
  download: 'M12 4v11M7.5 10.5L12 15l4.5-4.5M5 19.5h14',
  upload: 'M12 15.5V4.5M7.5 9L12 4.5 16.5 9M5 19.5h14',
  move: 'M4 7h5l2 2h9v10H4zM12 11.5v5M9.8 14.3l2.2 2.2 2.2-2.2',
  board: 'M4 7h5l2 2h9v10H4z',
  again: 'M19.5 12a7.5 7.5 0 1 1-2.3-5.4M19.5 3.5v4h-4',
  tune: 'M4 8h8M17 8h3M4 16h3M12 16h8M14.5 5.7v4.6M9.5 13.7v4.6',
  info: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM12 11v5M12 8h.01',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.5 15.5L20 20',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z',
  down: 'M6 9.5l6 6 6-6',
  pause: 'M9 6v12M15 6v12',
  play: 'M8 5.5l10 6.5-10 6.5z',
  out: 'M10 4.5H5v15h5M14 8l4 4-4 4M9 12h9',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12 2.8v1.7M12 19.5v1.7M2.8 12h1.7M19.5 12h1.7M5.5 5.5l1.2 1.2M17.3 17.3l1.2 1.2M5.5 18.5l1.2-1.2M17.3 6.7l1.2-1.2',
  moon: 'M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10Z',
  auto: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17ZM12 3.5v17M15 5v14M18 7.5v9',
  edit: 'M4.5 19.5l1-4L16 5l3 3L8.5 18.5zM13.5 7.5l3 3',
  use: 'M5 5h9M5 10h14M5 15h7M16 14v6M13 17l3 3 3-3',
  warn: 'M12 4l9 15.5H3zM12 10v4.5M12 17h.01',
  send: 'M12 19V5.5M6 11.5l6-6 6 6',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  list: 'M8.5 6H20M8.5 12H20M8.5 18H20M4.5 6h.01M4.5 12h.01M4.5 18h.01',
  qr: 'M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2.5M20 14v2.5M14 20v-2.5h2.5M20 20h-2',
  laptop: 'M5.5 5.5h13v10h-13zM3 19h18',
};

/** Decorative unless it carries a label; the words beside it say what it means. */
export function Icon({ name, label }) {
  return html`<svg class=${`icon icon-${name}`} viewBox="0 0 24 24" role=${label && 'img'} aria-label=${label}
    aria-hidden=${label ? undefined : 'true'}><path d=${PATHS[name]} /></svg>`;
}
