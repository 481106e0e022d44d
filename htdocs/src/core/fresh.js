// Lists that are read while they change: an answer that was overtaken must not undo what is on screen.

/**
 * Makes a reader of `ask`. Its answer is passed to `take` only when it is the latest one and nothing was changed while it
 * was under way; after a change it asks again.
 * @param {() => Promise<any>} ask
 * @param {(answer: any) => void} take
 * @param {(error: Error) => void} fail
 * @returns {{read: () => Promise<void>, changed: () => void}} read() resolves when the latest answer has been taken;
 *   changed() is called at both ends of every change
 */
export function freshReader(ask, take, fail) {
  let latest = null;
  let changes = 0;
  const run = async (me) => {
    const before = changes;
    let end;
    try {
      const answer = await ask();
      end = () => take(answer);
    } catch (error) {
      end = () => fail(error);
    }
    if (latest !== me) {
      return latest.done;
    }
    if (before !== changes) {
      return read();
    }
    return end();
  };
  const read = () => {
    const me = {};
    latest = me;
    me.done = run(me);
    return me.done;
  };
  return { read, changed: () => (changes += 1) };
}
