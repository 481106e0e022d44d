// The rules of a password that can be told before the server is asked. The server has the last word.

export const PASSWORD_HINT = 'At least 8 characters, with a capital letter, a small letter and a digit. Three or four words are easy to remember.';
const MAX_BYTES = 72;

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
