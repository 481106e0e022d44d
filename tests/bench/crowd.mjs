// A process full of idle sockets. It has one of its own so that the one whose delay is measured does not wait for the
// others' messages in the same program. Told by its parent: {base, token, count}, then 'subscribe'; answers 'done' to each.
import { connect, end, subscribe } from './socket.mjs';

const AT_ONCE = 50;
const sockets = [];

async function open({ base, token, count }) {
    while (sockets.length < count) {
        const some = Array.from({ length: Math.min(AT_ONCE, count - sockets.length) }, () => connect(base, token));
        sockets.push(...(await Promise.all(some)));
    }
}

process.on('message', async (order) => {
    if (order === 'subscribe') {
        sockets.forEach(subscribe);
    } else {
        await open(order);
    }
    process.send('done');
});
process.on('disconnect', () => {
    sockets.forEach(end);
    process.exit(0);
});
