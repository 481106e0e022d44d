// A signed-in Socket.IO client in as few bytes as possible, so that thousands fit beside the server that they measure.
import { createRequire } from 'node:module';

// The WebSocket library that socket.io-client brings along.
const require = createRequire(import.meta.resolve('engine.io-client'));
const WebSocket = require('ws');

export const subscribe = (socket) => socket.send('42["subscribe_queue",{"queue_id":"default"}]');

/** Ends it without the farewells that would count as a failure. */
export function end(socket) {
    socket.removeAllListeners('close');
    socket.terminate();
}

/** @param {(text: string) => void} [heard] gets every event as it came; `options` go to the WebSocket */
export function connect(base, token, heard = () => {}, options = {}) {
    const url = `${base.replace(/^http/, 'ws')}/ws/socket.io/?EIO=4&transport=websocket`;
    return new Promise((resolve, reject) => {
        const socket = new WebSocket(url, { rejectUnauthorized: false, perMessageDeflate: false, ...options });
        socket.on('error', reject);
        socket.on('close', () => reject(new Error('the server closed a socket')));
        socket.on('message', (data) => {
            const text = data.toString();
            if (text === '2') {
                socket.send('3');
            } else if (text[0] === '0') {
                socket.send(`40${JSON.stringify({ token })}`);
            } else if (text.startsWith('40')) {
                resolve(socket);
            } else if (text.startsWith('44')) {
                reject(new Error(`refused: ${text}`));
            } else {
                heard(text);
            }
        });
    });
}
