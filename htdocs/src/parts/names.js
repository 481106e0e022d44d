// Names and addresses of people, as they are shown and as they are typed.
import { html } from '../core/html.js';
import { plain } from '../core/words.js';

/** A name or an address, which breaks at its joints first where a line has no room for it. */
export const Address = ({ children }) => html`<bdi>${String(children).split(/(?<=@)|(?=[.@])/).map((part, i) => html`${i > 0 && html`<wbr />`}${part}`)}</bdi>`;

/** The letter that stands for a person. */
export const initial = (name) => [...plain(name)][0]?.toUpperCase();

/** Letters that take no room on screen, or turn around others. */
const UNSEEN = /[\p{C}\p{Default_Ignorable_Code_Point}\p{Zl}\p{Zp}\u2800]/u;

/** Whether a text can be typed by whoever sees it. */
export const typable = (text) => Boolean(plain(text)) && !UNSEEN.test(text);

/** A text as people read it: blanks count once, and so does each way of writing the same letter. */
export const asRead = (text) => text.normalize('NFC').replace(/\s+/gu, ' ').trim();
