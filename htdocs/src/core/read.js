// What a page reads from the server, and reads again.
import { useEffect, useRef, useState } from 'preact/hooks';
import { useDraft } from './draft.js';

/** As long as somebody may pause in typing before the server is asked, ms. */
const PAUSE = 250;

/**
 * What `ask` answers; of several answers under way only the latest counts.
 * @param {(...args) => Promise<any>} ask
 * @param {any} first the value before the first answer
 * @returns {{value: any, failed: string, read: (...args) => Promise<void>}} failed: why the latest one could not be read, or ''
 */
export function useRead(ask, first = null) {
  const [value, setValue] = useState(first);
  const [failed, setFailed] = useState('');
  const asked = useRef(0);
  const read = async (...args) => {
    asked.current += 1;
    const turn = asked.current;
    try {
      const answer = await ask(...args);
      if (turn === asked.current) {
        setValue(answer);
        setFailed('');
      }
    } catch (error) {
      if (turn === asked.current) {
        setFailed(error.message);
      }
    }
  };
  return { value, failed, read };
}

/**
 * A filter of several parts, of which `search` is typed.
 * @param {string} key of what is typed, as in useDraft
 * @param {object} nothing the filter that all fits
 * @param {(filter: object) => void} read called with each new filter, for a search after a pause
 * @returns {[object, (part: object) => void]} the filter, and what changes a part of it
 */
export function useFilter(key, nothing, read) {
  const [filter, setFilter] = useDraft(`filter:${key}`, nothing);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const change = (part) => {
    const which = { ...filter, ...part };
    setFilter(which);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => read(which), part.search === undefined ? 0 : PAUSE);
  };
  return [filter, change];
}
