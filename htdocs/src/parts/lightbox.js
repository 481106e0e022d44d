// The lightbox: PhotoSwipe, loaded when the first picture is opened, with our own buttons and a panel of details.
import { render } from 'preact';
import { pictureUrl, thumbnailUrl } from '../core/api.js';
import { html } from '../core/html.js';
import { on } from '../core/live.js';
import { onReturn } from '../core/return.js';
import { labelOf } from '../core/words.js';
import { canChange } from '../state/boards.js';
import { complain, say, toasts } from '../state/toasts.js';
import { forgotten, gone, picture, readPicture, readRecords, remove, toggleStar, want } from '../state/pictures.js';
import { recall, remember } from '../core/storage.js';
import { Details } from './details.js';
import { Button } from './controls.js';
import { Icon } from './icons.js';

const PANEL = 340;
/** Share of a small screen that the details take; as in lightbox.css. */
const SHEET = 0.62;
const NEAR = 12;
/** Height of the bar of buttons; as in lightbox.css. */
const TOOLS = 60;
let withDetails = recall('lightbox-details') === 'open';

function loadStyles() {
  const base = new URL('../photoswipe.css', import.meta.url).href;
  if (document.querySelector(`link[href="${base}"]`)) {
    return Promise.resolve();
  }
  return new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: base, onload: resolve, onerror: reject });
    document.head.prepend(link);
  });
}

/** The page behind can't be reached while a picture fills the screen. */
function holdBack(behind) {
  document.querySelectorAll('.skip, .rail, #main').forEach((part) => {
    part.inert = behind;
  });
}

/** PhotoSwipe closes nothing that is still opening; this does, as soon as it can. */
function close(pswp) {
  if (pswp.opener.isOpen) {
    pswp.close();
  } else {
    pswp.on('openingAnimationEnd', () => pswp.close());
  }
}

/** Going back, by button or by gesture, closes the picture and nothing else. */
function closeOnBack(pswp) {
  const back = () => close(pswp);
  history.pushState({ lightbox: true }, '');
  addEventListener('popstate', back);
  pswp.on('close', () => {
    removeEventListener('popstate', back);
    // Not when something else leads on from here in the same moment.
    setTimeout(() => history.state?.lightbox && history.back());
  });
}

const slideOf = (name) => {
  const record = picture(name).value;
  return { src: pictureUrl(name), msrc: thumbnailUrl(name), width: record?.width || 512, height: record?.height || 512, name, alt: labelOf(record) };
};

/** Small pictures are shown up to twice their size; a double click or a double tap goes closer to any of them. */
const fitted = ({ panAreaSize, elementSize }) => Math.min(panAreaSize.x / elementSize.x, panAreaSize.y / elementSize.y);
const ZOOM = {
  initialZoomLevel: (level) => Math.min(fitted(level), 2),
  secondaryZoomLevel: (level) => Math.max(1, Math.min(fitted(level), 2) * 2.5),
  maxZoomLevel: (level) => Math.max(4, Math.min(fitted(level), 2) * 5),
};

/** The bar of buttons and the panel, drawn into PhotoSwipe's own element so that the focus stays inside. */
function Tools({ pswp, name, details }) {
  const record = picture(name).value;
  const mine = record && canChange(record);
  const toggle = () => {
    withDetails = !withDetails;
    remember('lightbox-details', withDetails ? 'open' : null);
    pswp.element.classList.toggle('with-details', withDetails);
    pswp.updateSize(true);
    redraw(pswp);
  };
  const erase = () => {
    remove([name]);
    pswp.close();
  };
  return html`<div class="box-tools">
      ${mine && html`<${Button} kind="on-picture" icon="star" bare class=${record?.starred ? 'starred' : ''} aria-pressed=${String(Boolean(record?.starred))}
        onClick=${() => toggleStar([name])}>Star<//>`}
      <a class="button on-picture bare" href=${pictureUrl(name)} download=${name} aria-label="Download" title="Download"><${Icon} name="download" /></a>
      ${mine && html`<${Button} kind="on-picture" icon="trash" bare onClick=${erase}>Delete<//>`}
      <${Button} kind="on-picture" icon="info" bare aria-expanded=${String(details)} onClick=${toggle}>Details<//>
      <${Button} kind="on-picture" icon="close" bare onClick=${() => close(pswp)}>Close<//>
    </div>
    ${details && html`<aside class="box-details" aria-label="Details"><h2>Details</h2><${Details} name=${name} onUse=${() => pswp.close()} /></aside>`}`;
}

function redraw(pswp) {
  const name = pswp.currSlide?.data.name;
  if (name) {
    render(html`<${Tools} key=${name} pswp=${pswp} name=${name} details=${withDetails} />`, pswp.toolsElement);
  }
}

const WORDS_GONE = 'This picture was deleted, or is no longer shared with you.';

/** Once while it is on screen: several may go one after another. */
const sayGone = () => toasts.peek().some(({ text }) => text === WORDS_GONE) || say(WORDS_GONE);

/**
 * A picture that was deleted, or is shared no more, doesn't stay on screen: the nearest that is left takes its place, further on
 * in the direction in which this person goes.
 */
function leaveGone(pswp, list) {
  let last = pswp.currIndex;
  let way = 1;
  let timer = 0;
  const move = () => {
    const at = pswp.currIndex;
    if (pswp.isDestroying || !gone.value.has(list[at])) {
      return;
    }
    const ahead = (i) => Number((i - at) * way > 0);
    const unknown = around(list, at).filter((name) => !picture(name).value && !gone.value.has(name));
    if (unknown.length) {
      readRecords(unknown).then(soon, () => close(pswp));
      return;
    }
    const [next] = [...list.keys()].filter((i) => picture(list[i]).value).sort((a, b) => ahead(b) - ahead(a) || Math.abs(a - at) - Math.abs(b - at));
    sayGone();
    if (next === undefined) {
      close(pswp);
    } else {
      pswp.goTo(next);
    }
  };
  // PhotoSwipe is in the middle of something when it says so.
  const soon = () => setTimeout(move);
  pswp.on('change', () => {
    way = pswp.currIndex < last ? -1 : 1;
    last = pswp.currIndex;
    soon();
  });
  const look = () => {
    clearTimeout(timer);
    timer = setTimeout(() => readRecords(around(list, pswp.currIndex)).catch(() => {}), Math.random() * 300);
  };
  const ends = [
    gone.subscribe(soon),
    forgotten.subscribe(() => want(around(list, pswp.currIndex))),
    onReturn(look),
    ...['boards_changed', 'reconnected'].map((event) => on(event, look)),
  ];
  pswp.on('destroy', () => {
    clearTimeout(timer);
    ends.forEach((end) => end());
  });
}

/** Names around the one on screen, so that their sizes are known before they are. */
const around = (list, i) => list.slice(Math.max(0, i - NEAR), i + NEAR);

/**
 * Opens `name` among the `list` of picture names.
 * @param {(name: string) => void} [onLeave] gets the picture that was shown last
 */
export async function openLightbox(list, name, onLeave) {
  try {
    const [{ default: PhotoSwipe }] = await Promise.all([import('photoswipe'), loadStyles(), readPicture(name)]);
    want(around(list, list.indexOf(name)));
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const room = () => {
      const beside = innerWidth >= 820;
      return {
        x: innerWidth - (withDetails && beside ? PANEL : 0),
        y: innerHeight * (withDetails && !beside ? 1 - SHEET : 1),
      };
    };
    const pswp = new PhotoSwipe({
      dataSource: list.map((one) => ({ name: one })),
      index: list.indexOf(name),
      showHideAnimationType: still ? 'none' : 'fade',
      hideAnimationDuration: 160,
      showAnimationDuration: 160,
      bgOpacity: 1,
      ...ZOOM,
      loop: false,
      close: false,
      zoom: false,
      counter: list.length > 1,
      arrowPrevTitle: 'Previous',
      arrowNextTitle: 'Next',
      errorMsg: 'This picture can’t be shown. It may have been deleted.',
      getViewportSizeFn: room,
      // Where the details leave little room, the buttons get a strip of their own.
      paddingFn: () => ({ top: withDetails && innerWidth < 820 ? TOOLS : 0, bottom: 0, left: 0, right: 0 }),
    });
    pswp.addFilter('itemData', (data, index) => slideOf(list[index]));
    pswp.on('change', () => {
      want(around(list, pswp.currIndex));
      redraw(pswp);
    });
    pswp.on('uiRegister', () => {
      pswp.ui.registerElement({
        name: 'tools',
        appendTo: 'root',
        onInit: (element) => {
          pswp.toolsElement = element;
        },
      });
    });
    pswp.on('destroy', () => {
      holdBack(false);
      render(null, pswp.toolsElement);
      onLeave?.(list[pswp.currIndex]);
    });
    // PhotoSwipe hears keys only when it has opened; an Escape before that counts too.
    const early = (event) => event.key === 'Escape' && !pswp.opener.isOpen && close(pswp);
    document.addEventListener('keydown', early);
    pswp.on('destroy', () => document.removeEventListener('keydown', early));
    pswp.init();
    pswp.element.classList.toggle('with-details', withDetails);
    pswp.element.setAttribute('aria-label', 'Picture');
    pswp.updateSize(true);
    holdBack(true);
    closeOnBack(pswp);
    leaveGone(pswp, list);
    redraw(pswp);
  } catch (error) {
    complain(error);
  }
}
