// Whether what is on screen has room, and can be pressed.

/** Words up to this many letters stay in one piece wherever they stand. */
const WORD = 14;
/** A thumb needs so many pixels, at least. */
const THUMB = 36;

/* Runs in the page. */
function look([selector, WORD, THUMB]) {
    const root = document.querySelector(selector) || document.documentElement;
    const faults = [];
    const box = root === document.documentElement ? { left: 0, right: innerWidth } : root.getBoundingClientRect();
    const called = (e) => (e.ariaLabel || e.textContent || e.tagName).trim().slice(0, 40);
    const hidden = [...root.querySelectorAll('*')].filter((e) => getComputedStyle(e).clipPath !== 'none');
    const shown = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !hidden.some((other) => other.contains(e)) && e.getBoundingClientRect().width > 1;
    // What scrolls aside by design, and what is cut with dots, may hold more than it shows.
    const scrolls = (e) => e.closest('.board-groups');
    if (root.scrollWidth > root.clientWidth) {
        faults.push(`${selector} holds ${root.scrollWidth} in ${root.clientWidth}`);
    }
    for (const e of root.querySelectorAll('*')) {
        const { left, right } = e.getBoundingClientRect();
        if (shown(e) && !scrolls(e) && !e.closest('svg, .skip') && (left < box.left - 1 || right > box.right + 1)) {
            faults.push(`${e.tagName} “${called(e)}” lies from ${Math.round(left)} to ${Math.round(right)} in ${box.left} to ${box.right}`);
        }
    }
    for (const e of root.querySelectorAll('button, .button, select')) {
        if (!shown(e) || e.closest('.skip')) {
            continue;
        }
        if (e.scrollWidth > e.clientWidth && !scrolls(e)) {
            faults.push(`“${called(e)}” is narrower than its words`);
        }
        if (e.closest('dialog')) {
            e.scrollIntoView({ block: 'center' });
            const { left, top, width, height } = e.getBoundingClientRect();
            const there = document.elementFromPoint(left + width / 2, top + height / 2);
            if (!e.contains(there)) {
                faults.push(`“${called(e)}” can’t be pressed: ${there && called(there)} lies there`);
            }
            if (Math.min(width, height) < THUMB && !e.matches('.link, .input-side')) {
                faults.push(`“${called(e)}” is ${width} × ${height}`);
            }
        }
    }
    const pen = document.createElement('canvas').getContext('2d');
    for (const e of root.querySelectorAll('input[placeholder]')) {
        const style = getComputedStyle(e);
        pen.font = style.font;
        const room = e.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        if (shown(e) && pen.measureText(e.placeholder).width > room) {
            faults.push(`“${e.placeholder}” is longer than its field`);
        }
    }
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const range = document.createRange();
    while (walker.nextNode()) {
        const node = walker.currentNode;
        if (!shown(node.parentElement) || node.parentElement.closest('option, textarea, svg')) {
            continue;
        }
        for (const { 0: word, index } of node.data.matchAll(/[^\s@.\-–—/_:]+/g)) {
            range.setStart(node, index);
            range.setEnd(node, index + word.length);
            const lines = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)));
            if (word.length <= WORD && lines.size > 1) {
                faults.push(`“${word}” is broken in the middle in “${node.data.slice(0, 60)}”`);
            }
        }
    }
    root.scrollTop = 0;
    return faults;
}

/**
 * What is wrong with the room of things in what `selector` finds, the whole page without one: wider than it, out of it, words broken in
 * the middle, and in dialogs what no thumb can press.
 * @returns {Promise<string[]>}
 */
export const misfits = (page, selector = 'html') => page.evaluate(look, [selector, WORD, THUMB]);
