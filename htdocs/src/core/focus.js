// The way back of the focus, from a dialog to what opened it.

const FOCUSABLE = 'a[href], button, input, select, textarea, [tabindex="0"]';
/** As long as what opened a dialog may take to vanish because of what was done in it. */
const WATCH_MS = 5000;

const isReachable = (element) => !element.disabled && element.tabIndex >= 0 && element.getClientRects().length > 0 && !element.closest('dialog, [role=menu]');
const reachable = (root) => [...root.querySelectorAll(FOCUSABLE)].filter(isReachable);

/** Where the focus is: the element, and its place in everything around it in case it vanishes. Null when it is nowhere. */
export function wayBack() {
  const opener = document.activeElement;
  if (!opener || opener === document.body) {
    return null;
  }
  const around = [];
  for (let root = opener.parentElement; root && root !== document.body; root = root.parentElement) {
    around.push({ root, at: reachable(root).indexOf(opener) });
  }
  return { opener, around };
}

/** What stands where the opener was, as near as there is something. */
function neighbour({ around }) {
  for (const { root, at } of around) {
    const there = root.isConnected ? reachable(root) : [];
    if (there.length) {
      return there[Math.min(Math.max(at, 0), there.length - 1)];
    }
  }
  return document.getElementById('main');
}

/** Puts the focus back; when the opener is gone, or goes in a moment, on what stands next to where it was. */
export function goBackTo(way) {
  if (!way) {
    return;
  }
  way.opener.focus();
  const watch = new MutationObserver(() => {
    const lost = !document.activeElement || document.activeElement === document.body;
    if (lost && !document.querySelector('dialog[open]')) {
      (way.opener.isConnected ? way.opener : neighbour(way))?.focus();
    }
  });
  const stop = () => watch.disconnect();
  watch.observe(document.body, { childList: true, subtree: true });
  setTimeout(stop, WATCH_MS);
  // Whoever points somewhere has said where to go on.
  addEventListener('pointerdown', stop, { once: true });
}
