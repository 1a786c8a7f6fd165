const NANOS_PER_HOUR = 3_600_000_000_000;
const HOURS_PER_DAY = 24;

/** How long records are kept: audit records in days, ended jobs in hours. */
export interface Retention {
  auditDays: number;
  jobHours: number;
}

/** Reads the setting `gc`; nothing if it is not what the manager writes. */
export function readRetention(value: string): Retention | null {
  try {
    const parsed: unknown = JSON.parse(value);
    const [audit, job] = [ttl(parsed, 'audit'), ttl(parsed, 'job')];
    return audit === null || job === null
      ? null
      : { auditDays: audit / NANOS_PER_HOUR / HOURS_PER_DAY, jobHours: job / NANOS_PER_HOUR };
  } catch {
    return null;
  }
}

export function writeRetention({ auditDays, jobHours }: Retention): string {
  const nanos = (hours: number) => Math.round(hours * NANOS_PER_HOUR);
  return JSON.stringify({ audit: { ttl: nanos(auditDays * HOURS_PER_DAY) }, job: { ttl: nanos(jobHours) } });
}

function ttl(value: unknown, part: string): number | null {
  const entry = field(value, part);
  const nanos = field(entry, 'ttl');
  return typeof nanos === 'number' ? nanos : null;
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
