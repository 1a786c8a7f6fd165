import type { Application } from '@/api/records';
import type { Schemas } from '@/api/client';
import { firstBad, lines } from '@/forms/lines';
import type { Rule } from '@/forms/problem';
import { isPattern } from '@/forms/rules';

/** An application as a form holds it. */
export interface ApplicationValues {
  name: string;
  url: string;
  bio: string;
  priority: number | string;
  /** A pattern, a space and a priority, one a line. */
  patterns: string;
}

const LINE = /^(\S.*)\s+([0-9]|1[0-9]|20)$/;

export function valuesOf(application: Application | null): ApplicationValues {
  const patterns = (application?.priority?.urls ?? []).map(({ regex, value }) => `${regex} ${value}`);
  return {
    name: application?.name ?? '',
    url: application?.url ?? '',
    bio: application?.bio ?? '',
    priority: application?.priority?.value ?? 0,
    patterns: patterns.join('\n'),
  };
}

export function requestOf({ name, url, bio, priority, patterns }: ApplicationValues): Schemas['CreateApplication'] {
  const urls = lines(patterns).map((line) => {
    const [, regex = '', value = ''] = LINE.exec(line) ?? [];
    return { regex: regex.trimEnd(), value: Number(value) };
  });
  return { name, url, bio, priority: { value: Number(priority), urls } };
}

export const patternLines: Rule<string> = (text) => {
  const bad = firstBad(text, (line) => {
    const pattern = LINE.exec(line)?.[1];
    return pattern !== undefined && isPattern(pattern.trimEnd()) ? null : {};
  });
  return bad && { key: 'applications.badPattern', values: { line: bad.line } };
};
