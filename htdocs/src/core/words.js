// Times, sizes and counts as a reader says them.

const RELATIVE = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric' });
const DAY_TIME = new Intl.DateTimeFormat(undefined, { dateStyle: 'long', timeStyle: 'short' });
const MONTH = new Intl.DateTimeFormat(undefined, { month: 'long', year: 'numeric' });
const STEPS = [
  [3600, 60, 'minute'],
  [86400, 3600, 'hour'],
];

/** The server writes UTC without saying so. Accepts that, ISO texts and epoch seconds. */
export function toDate(time) {
  if (typeof time === 'number') {
    return new Date(time * 1000);
  }
  const text = String(time || '').replace(' ', 'T');
  return new Date(/[zZ]|[+-]\d\d:?\d\d$/.test(text) ? text : `${text}Z`);
}

/** "3 minutes ago" up to a day, then the date. */
export function ago(time, now = Date.now()) {
  const date = toDate(time);
  if (Number.isNaN(date.getTime())) {
    return '';
  }
  const seconds = (date.getTime() - now) / 1000;
  if (Math.abs(seconds) < 45) {
    return 'just now';
  }
  for (const [limit, unit, name] of STEPS) {
    if (Math.abs(seconds) < limit) {
      return RELATIVE.format(Math.round(seconds / unit), name);
    }
  }
  return DAY.format(date);
}

const SHORT = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
export const shortTime = (time) => SHORT.format(toDate(time));
export const fullTime = (time) => DAY_TIME.format(toDate(time));
export const monthOf = (time) => MONTH.format(toDate(time));

/** "about 40 seconds left" */
export function timeLeft(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) {
    return '';
  }
  if (seconds < 5) {
    return 'a few seconds left';
  }
  if (seconds < 90) {
    return `about ${Math.ceil(seconds / 5) * 5} s left`;
  }
  return `about ${Math.round(seconds / 60)} min left`;
}

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString()} ${n === 1 ? one : many}`;

const KINDS = [
  ['images', 'picture'],
  ['boards', 'board'],
  ['workflows', 'workflow'],
  ['style_presets', 'style preset'],
  ['jobs', 'job'],
];

/** "2 pictures, 1 board" of {images: 2, boards: 1} */
export const amount = (data) => KINDS.filter(([key]) => data[key]).map(([key, word]) => count(data[key], word)).join(', ');

/** What a screen reader says of a picture: what it was asked to show, else when it was made. */
export function labelOf(record) {
  if (!record) {
    return 'Picture';
  }
  const what = record.prompt ? record.prompt.replace(/\s+/g, ' ').slice(0, 200) : `Picture of ${fullTime(record.created_at)}`;
  return record.starred ? `${what}, starred` : what;
}

/** Letters that are written from right to left. */
const LEFTWARDS = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** A name as it stands beside other words: one that is written from right to left must not turn around the numbers that follow it. */
export const apart = (name) => (LEFTWARDS.test(name) ? `\u2068${name}\u2069` : name);

const BRIEF = 48;

/** A name as it stands in a sentence or a title: a very long one is cut. */
export function brief(name) {
  const text = plain(name) || String(name);
  const letters = [...text];
  return apart(letters.length > BRIEF ? `${letters.slice(0, BRIEF - 1).join('').trimEnd()}…` : text);
}

/** "Firefox on Windows" from a user agent text; exactness is not needed, recognition is. */
export function device(agent) {
  if (!agent) {
    return 'Unknown device';
  }
  const browser =
    (/Edg\//.test(agent) && 'Edge') ||
    (/OPR\//.test(agent) && 'Opera') ||
    (/Firefox\//.test(agent) && 'Firefox') ||
    (/HeadlessChrome\/|Chrome\//.test(agent) && 'Chrome') ||
    (/Safari\//.test(agent) && 'Safari');
  const system =
    (/iPhone/.test(agent) && 'iPhone') ||
    (/iPad/.test(agent) && 'iPad') ||
    (/Android/.test(agent) && 'Android') ||
    (/Windows/.test(agent) && 'Windows') ||
    (/Mac OS X/.test(agent) && 'Mac') ||
    (/Linux/.test(agent) && 'Linux');
  if (!browser) {
    return agent.slice(0, 40);
  }
  return system ? `${browser} on ${system}` : browser;
}

const SEEN = /[^\p{C}\p{Default_Ignorable_Code_Point}\p{Z}\s\u2800]/u;

/** A name as it is shown: nothing in it breaks the line or turns around what stands beside it. '' when there would be nothing to see. */
export function plain(name) {
  const text = String(name || '').replace(/\p{Bidi_Control}/gu, '').replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ');
  return SEEN.test(text) ? text.trim() : '';
}
