// Browser storage that never throws: private windows and full disks only lose what would have been remembered.
// `here` means this tab alone, until it is closed; otherwise it is the browser.

const store = (here) => (here ? sessionStorage : localStorage);

export function recall(key, here = false) {
  try {
    return store(here).getItem(key);
  } catch {
    return null;
  }
}

/** Remembers a text; null forgets it. */
export function remember(key, text, here = false) {
  try {
    if (text === null) {
      store(here).removeItem(key);
    } else {
      store(here).setItem(key, text);
    }
  } catch {
    // Nothing depends on it.
  }
}

function forgetWhere(here, isOld) {
  try {
    Object.keys(store(here))
      .filter(isOld)
      .forEach((key) => store(here).removeItem(key));
  } catch {
    // Then nothing was remembered either.
  }
}

/** Forgets everything below `prefix` but what is called `kept`, in the browser and in this tab. */
export function forgetOthers(prefix, kept) {
  [false, true].forEach((here) => forgetWhere(here, (key) => key.startsWith(prefix) && key !== kept));
}

/** Forgets in this tab what another tab has made the browser forget. */
export const forgetHere = (prefix) => forgetWhere(true, (key) => key.startsWith(prefix) && recall(key) === null);

export function recallJson(key, otherwise, here = false) {
  try {
    return JSON.parse(recall(key, here)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export const rememberJson = (key, value, here = false) => remember(key, JSON.stringify(value), here);
