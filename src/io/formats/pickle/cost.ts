/** What values of a pickle cost in V8, in bytes: the object, and the place in what holds it while that grows. */
export const COST = { slot: 24, list: 48, tuple: 72, dict: 192, entry: 64, text: 40, object: 96, memo: 24 } as const
