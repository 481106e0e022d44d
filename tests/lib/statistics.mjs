// Whether two series of measurements differ, told without assuming how they are spread.
export const median = (list) => {
    const sorted = [...list].sort((a, b) => a - b);
    return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

/** Numbers from 0 to 1 that are the same in every run. */
export function sequence(seed) {
    let state = seed >>> 0;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 32;
    };
}

/**
 * Pairs of measurements taken one right after the other, in an order by chance: what else the machine does hits both alike.
 * If nothing tells the two apart, each pair could as well be the other way round.
 * @param {[number, number][]} pairs
 * @returns {{difference: number, p: number}} median of the differences, and how often chance alone makes one as large (permutation of signs)
 */
export function compare(pairs, { rounds = 5000, random = sequence(1) } = {}) {
    const differences = pairs.map(([a, b]) => a - b);
    const difference = median(differences);
    let asLarge = 0;
    for (let i = 0; i < rounds; i++) {
        const turned = median(differences.map((d) => (random() < 0.5 ? d : -d)));
        asLarge += Math.abs(turned) >= Math.abs(difference);
    }
    return { difference, p: (asLarge + 1) / (rounds + 1) };
}
