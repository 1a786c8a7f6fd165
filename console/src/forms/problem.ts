import type { ParseKeys, TFunction } from 'i18next';

/** What is wrong with a field, in words that the chosen language has. */
export interface Problem {
  key: ParseKeys;
  values?: Record<string, string | number>;
}

/** Says what is wrong with a value, or nothing. */
export type Rule<T> = (value: T) => Problem | null;

/** A rule as a form takes it: the text to show, or nothing. */
export function told<T>(t: TFunction, rule: Rule<T>): (value: T) => string | null {
  return (value) => {
    const problem = rule(value);
    return problem && t(problem.key, { ...problem.values });
  };
}
