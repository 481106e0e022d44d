// Client-side routes are plain paths; the server answers each of them with the start page.
import { signal } from '@preact/signals';

const here = () => ({ path: location.pathname.replace(/(.)\/+$/, '$1'), query: new URLSearchParams(location.search) });

/** {path, query} of the page that is shown. */
export const route = signal(here());

/** Goes to a path such as "/gallery?board=none". */
export function navigate(to, { replace = false } = {}) {
  if (to === location.pathname + location.search) {
    return;
  }
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  route.value = here();
  if (!replace) {
    scrollTo(0, 0);
  }
}

function followLink(event) {
  const link = event.target.closest?.('a[href^="/"]');
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute('download')) {
    return;
  }
  if (link.pathname.startsWith('/api/') || link.pathname.startsWith('/assets/')) {
    return;
  }
  event.preventDefault();
  navigate(link.pathname + link.search);
}

export function startRouter() {
  addEventListener('popstate', () => {
    route.value = here();
  });
  document.addEventListener('click', followLink);
}
