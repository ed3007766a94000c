/** Lives of what people and programs show. Milliseconds. */

const MINUTE = 60_000

/** A session ends after this long without a call … */
export const SESSION_IDLE = 30 * MINUTE
/** … and in any case after this long. */
export const SESSION_LIFE = 12 * 60 * MINUTE
/** A password given within this time counts as fresh. */
export const FRESH = 10 * MINUTE
/** How long the setup token can be used. */
export const SETUP_LIFE = 60 * MINUTE
/** That a session or token was used is noted this often, not at each call. */
export const NOTED_EVERY = 5 * MINUTE
/** What has expired is forgotten after this long: until then it is known not to be a guess. */
export const EXPIRED_KEPT = 7 * 24 * 60 * MINUTE
/** A clock that is back by more than this before a session's beginning was set by somebody. */
export const CLOCK_SLACK = 5 * MINUTE
/** Sessions of one user; the oldest goes. */
export const MOST_SESSIONS = 20
/** API tokens of one user. */
export const MOST_TOKENS = 200
/** The longest life a token can be given. */
export const LONGEST_TOKEN = 10 * 366 * 24 * 60 * MINUTE
/** A ticket is to be used within this time … */
export const TICKET_LIFE = MINUTE
/** … and is known not to be a guess for this long after it. */
export const TICKET_KEPT = 10 * MINUTE
/** Tickets of one caller that have not been used, and all that are remembered. */
export const MOST_TICKETS = 1_000
export const MOST_TICKETS_KEPT = 20_000
