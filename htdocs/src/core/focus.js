// The way back of the focus, from a dialog to what opened it.

const FOCUSABLE = 'a[href], button, input, select, textarea, [tabindex="0"]';

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

/** Puts the focus back; when the opener is gone, on what stands next to where it was. */
export function goBackTo(way) {
  way?.opener.focus();
  if (way && document.activeElement !== way.opener) {
    neighbour(way)?.focus();
  }
}

const MESSAGES = '.toasts';
/** A list that draws only what is on screen looks after its focus itself. */
const OWN = '[data-own-focus]';

/** What takes the place of something that was taken out between two others: the nearest within reach, before leaving what it stood in. */
function heirOf({ target, previousSibling, nextSibling }) {
  // Another page altogether, as after signing in, begins where pages begin.
  if (target.id === 'app') {
    return null;
  }
  const within = (node, last) => {
    const all = node?.nodeType === Node.ELEMENT_NODE ? [...reachable(node), ...(node.matches(FOCUSABLE) && isReachable(node) ? [node] : [])] : [];
    return all.at(last ? -1 : 0);
  };
  const after = (node) => (node ? within(node) || after(node.nextSibling) : null);
  const before = (node) => (node ? within(node, true) || before(node.previousSibling) : null);
  const near = (nextSibling?.parentNode === target && after(nextSibling)) || (previousSibling?.parentNode === target && before(previousSibling));
  if (near) {
    return near;
  }
  for (let root = target; root && root !== document.body; root = root.parentElement) {
    if (root.id === 'main') {
      return root;
    }
    const inside = within(root);
    if (inside) {
      return inside;
    }
  }
  return document.getElementById('main');
}

/**
 * What has the focus may vanish: a button whose job is done, a message whose time is over. Then the focus goes to what takes its
 * place, and from a message back to where the person was before.
 */
export function keepFocus() {
  /** Where the keyboard is, and where it is apart from messages. */
  let held = null;
  let place = null;
  const lost = () => !document.activeElement || document.activeElement === document.body;
  document.addEventListener('focusin', ({ target }) => {
    held = target;
    if (!target.closest(MESSAGES)) {
      place = target;
    }
  });
  // Whoever points at nothing has let go. What is being taken out lets go too, and is gone a moment later.
  document.addEventListener('focusout', ({ target }) => {
    setTimeout(() => {
      if (held === target && target.isConnected && lost()) {
        held = null;
      }
    });
  });
  new MutationObserver((records) => {
    const record = (element) => records.findLast(({ removedNodes }) => [...removedNodes].some((node) => node.contains(element)));
    const wasLost = held && lost() && record(held) && !document.querySelector('dialog[open]');
    const taken = place && !place.isConnected ? record(place) : null;
    const own = taken?.target.closest(OWN);
    if (taken) {
      place = own || heirOf(taken);
    }
    if (wasLost && !own) {
      held = place?.matches(OWN) ? place.querySelector('[tabindex="0"]') : place;
      held?.focus({ preventScroll: held.id === 'main' });
    }
  }).observe(document.body, { childList: true, subtree: true });
}
