import type { Job } from '@/api/jobs';

/** What a job is about, in a word. */
export function subject({ args, bio }: Pick<Job, 'args' | 'bio'>): string {
  const found = [text(args, 'url'), first(args), text(args, 'task_id'), text(args, 'type')].find(Boolean);
  return found ?? bio;
}

function text(args: object, field: string): string | undefined {
  const value: unknown = Reflect.get(args, field);
  return typeof value === 'string' ? value : undefined;
}

function first(args: object): string | undefined {
  const urls: unknown = Reflect.get(args, 'urls');
  const url: unknown = Array.isArray(urls) ? urls[0] : undefined;
  return typeof url === 'string' ? url : undefined;
}
