// Reads QR codes from pictures of the screen, as a phone would.
import jsQR from 'jsqr';
import { readPixels } from './png.mjs';

/** The text in the code that a PNG shows, or null when no reader finds one. */
export function readQr(png) {
    const { width, height, channels, data } = readPixels(png);
    const rgba = new Uint8ClampedArray(width * height * 4);
    for (let i = 0; i < width * height; i++) {
        rgba.set([data[i * channels], data[i * channels + 1], data[i * channels + 2], 255], i * 4);
    }
    return jsQR.default(rgba, width, height)?.data ?? null;
}
