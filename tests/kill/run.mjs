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
console.log(`killed: worker ${counts.worker}, dispatcher ${counts.dispatcher}, httpd child ${counts.child}`);
console.log(`${counts.completed} jobs completed, each with its picture; ${counts.failed} failed with a reason; none lost`);
