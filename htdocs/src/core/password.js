// The rules of a password that can be told before the server is asked. The server has the last word.

export const PASSWORD_HINT = 'At least 8 characters, with a capital letter, a small letter and a digit. Three or four words are easy to remember.';
const MAX_BYTES = 72;

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

/** The first thing that is wrong with a password, as a sentence; '' when nothing is. */
export function passwordFault(password, strict) {
  if (!password) {
    return 'Enter a password.';
  }
  if (new TextEncoder().encode(password).length > MAX_BYTES) {
    return 'That password is too long. 72 letters are the most that count.';
  }
  if (!strict) {
    return '';
  }
  if (password.length < 8) {
    return 'That password is too short. Take at least 8 characters.';
  }
  if (!/\p{Lu}/u.test(password)) {
    return 'Add a capital letter to the password.';
  }
  if (!/\p{Ll}/u.test(password)) {
    return 'Add a small letter to the password.';
  }
  return /\d/.test(password) ? '' : 'Add a digit to the password.';
}
