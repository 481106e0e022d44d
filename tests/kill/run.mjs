// node tests/kill/run.mjs ROUNDS [SEED]
import { killRounds } from './rounds.mjs';

const rounds = Number(process.argv[2] || 100);
const seed = Number(process.argv[3] || Date.now() % 1000000);
if (!Number.isInteger(rounds) || rounds < 1) {
    console.error('ROUNDS must be a whole number from 1 on');
    process.exit(2);
}
console.log(`${rounds} rounds, seed ${seed}`);
const counts = await killRounds(rounds, seed, console.log);
const { completed, failed, again, ...parts } = counts;
console.log(`rounds: ${Object.entries(parts).map(([part, n]) => `${part} ${n}`).join(', ')}`);
console.log(`${completed} jobs completed, each with one picture of the right size; ${again} attempts lost their worker and were made again;`);
console.log(`${failed} jobs failed by right, their worker killed twice; none for another reason, none lost`);
