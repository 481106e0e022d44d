// How long a test waits for what must come: a bound of what hangs, not of what is slow. Machines may have much else to do, and
// sanitizers make every program several times slower.
import { SANITIZED } from './paths.mjs';

export const SLOWER = SANITIZED ? 4 : 1;
export const WAIT_MS = 30000 * SLOWER;
