// localStorage that never throws: private windows and full disks only lose what would have been remembered.

export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Remembers a text; null forgets it. */
export function remember(key, text) {
  try {
    if (text === null) {
      localStorage.removeItem(key);
    } else {
      localStorage.setItem(key, text);
    }
  } catch {
    // Nothing depends on it.
  }
}

/** Forgets everything below `prefix` but what is called `kept`. */
export function forgetOthers(prefix, kept) {
  try {
    Object.keys(localStorage)
      .filter((key) => key.startsWith(prefix) && key !== kept)
      .forEach((key) => localStorage.removeItem(key));
  } catch {
    // Then nothing was remembered either.
  }
}

export function recallJson(key, otherwise) {
  try {
    return JSON.parse(recall(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export const rememberJson = (key, value) => remember(key, JSON.stringify(value));
