// The rules of a password that can be told before the server is asked. The server has the last word.

const MAX_BYTES = 72;
const LEAST = 8;

/** The rules in a sentence. rules: what /auth/status says. */
export const passwordHint = (rules) =>
  rules.strict_password_checking
    ? `At least ${rules.password_min_length || LEAST} characters, with a capital letter, a small letter and a digit. Three or four words are easy to remember.`
    : 'Three or four words are easy to remember.';

// Without letters and digits that are taken for each other when read aloud or copied by hand.
const KINDS = ['ABCDEFGHJKLMNPQRSTUVWXYZ', 'abcdefghijkmnpqrstuvwxyz', '23456789'];
const GROUPS = 4;
const GROUP = 4;

/** A number below `n`, each as likely as the others. */
function chance(n) {
  const limit = Math.floor(256 / n) * n;
  const box = new Uint8Array(1);
  do {
    crypto.getRandomValues(box);
  } while (box[0] >= limit);
  return box[0] % n;
}

/** A password by chance that keeps every rule: "Kx7p-…", some 90 bits. */
export function suggestPassword() {
  const all = KINDS.join('');
  for (;;) {
    const letters = Array.from({ length: GROUPS * GROUP }, () => all[chance(all.length)]);
    if (KINDS.every((kind) => letters.some((letter) => kind.includes(letter)))) {
      return Array.from({ length: GROUPS }, (_, i) => letters.slice(i * GROUP, (i + 1) * GROUP).join('')).join('-');
    }
  }
}

const POOLS = [
  [/\p{Ll}/u, 26],
  [/\p{Lu}/u, 26],
  [/\d/, 10],
  [/[^\p{L}\d]/u, 33],
];
/** What is typed in a row on a keyboard, or counted, adds little. */
const ROWS = ['abcdefghijklmnopqrstuvwxyz', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwertzuiop', '01234567890'];

/** Whether a letter follows from the one before: the same again, or its neighbour. */
function follows(one, before) {
  return one === before || ROWS.some((row) => row.includes(before) && [row[row.indexOf(before) + 1], row[row.indexOf(before) - 1]].includes(one));
}

/** About how many bits somebody has to guess who knows how people choose. */
export function passwordBits(password) {
  const letters = [...password];
  const pool = POOLS.reduce((sum, [kind, size]) => sum + (kind.test(password) ? size : 0), 0);
  const seen = new Set();
  let counted = 0;
  letters.forEach((letter, i) => {
    const plain = letter.toLowerCase();
    counted += i && follows(plain, letters[i - 1].toLowerCase()) ? 0.1 : seen.has(plain) ? 0.6 : 1;
    seen.add(plain);
  });
  // Words and names are not chosen letter by letter.
  const words = password.match(/\p{L}\p{Ll}{3,}/gu) || [];
  const wordy = words.reduce((sum, word) => sum + word.length, 0);
  return (counted - wordy * 0.45) * Math.log2(pool || 1);
}

/** The first thing that is wrong with a password, as a sentence; '' when nothing is. rules: what /auth/status says. */
export function passwordFault(password, { strict_password_checking: strict, password_min_length: least = LEAST }) {
  if (!password) {
    return 'Enter a password.';
  }
  if (new TextEncoder().encode(password).length > MAX_BYTES) {
    return 'That password is too long. 72 letters are the most that count.';
  }
  if (!strict) {
    return '';
  }
  if ([...password].length < least) {
    return `That password is too short. Take at least ${least} characters.`;
  }
  if (!/\p{Lu}/u.test(password)) {
    return 'Add a capital letter to the password.';
  }
  if (!/\p{Ll}/u.test(password)) {
    return 'Add a small letter to the password.';
  }
  return /\d/.test(password) ? '' : 'Add a digit to the password.';
}
