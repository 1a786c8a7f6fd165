const DAY_MS = 86_400_000;

/** Kinds of objects that tokens can open; users, roles and tokens they never do. */
const OBJECTS = [
  'clusters',
  'scheduler-clusters',
  'seed-peer-clusters',
  'schedulers',
  'seed-peers',
  'peers',
  'jobs',
  'audits',
  'applications',
  'configs',
  'traces',
];

/** What a token may be made for: the scopes of Dragonfly 2.5, and each kind of objects, to change or to look at. */
export const SCOPES = ['job', 'cluster', ...OBJECTS.flatMap((object) => [object, `${object}:read`])];

/** When a token ends that is made now, as the API takes it. */
export function expiry(now: Date, days: number): string {
  return new Date(now.getTime() + days * DAY_MS).toISOString();
}
