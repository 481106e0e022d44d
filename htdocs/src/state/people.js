// The accounts here, read in as many slices as the server hands them out.
import { get } from '../core/api.js';

/** As many as one answer holds at most. */
const MOST = 1000;

/**
 * @param {object} filter search, role_filter, state_filter
 * @param {number} from how many to leave out
 * @param {number} many how many at most
 * @returns {Promise<{users: object[], total: number}>} total: how many fit the filter
 */
export async function readPeople(filter, from, many) {
  const users = [];
  for (;;) {
    const page = await get('/users', { ...filter, offset: from + users.length, limit: Math.min(MOST, many - users.length) });
    users.push(...page.users);
    if (!page.users.length || users.length >= many || from + users.length >= page.total) {
      return { users, total: page.total };
    }
  }
}
