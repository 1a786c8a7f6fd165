import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { en } from './en';
import { zh } from './zh';

/** Texts by their keys, as pages name them. */
function flat(texts: object, before = ''): [string, string][] {
  return Object.entries(texts).flatMap(([key, value]: [string, unknown]): [string, string][] =>
    typeof value === 'string' ? [[before + key, value]] : flat(Object(value) as object, `${before}${key}.`),
  );
}

const SRC = new URL('..', import.meta.url).pathname;
const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.tsx?$/.test(name) && !/\.test\.ts$|^i18n\/|schema\.d\.ts$/.test(name))
  .map((name) => readFileSync(join(SRC, name), 'utf8'))
  .join('\n');

const KEY = String.raw`[a-z][A-Za-z]*(?:\.[A-Za-z_-]+)*`;
/** Endings of keys that are made from a value, in groups that have other texts beside. */
const MADE: Record<string, string[]> = {
  'blocks.': ['task', 'persistent_task', 'persistent_cache_task', 'download', 'upload'].concat([
    'applications',
    'urls',
    'tags',
    'priorities',
  ]),
  'clusters.': ['overview', 'members', 'placement', 'helm', 'blockLists'],
  'jobs.': ['preheat', 'get_task', 'delete_task', 'get_image_distribution', 'sync_peers', 'gc'],
  'kept.': ['persistent-cache-tasks', 'persistent-tasks'],
  'match.': ['chosen', 'younger', 'less_specific', 'outranked', 'no_match'],
  'peers.': ['super', 'normal'],
  'preheat.': ['single_seed_peer', 'all_seed_peers', 'all_peers', 'everyone', 'count', 'percentage', 'ips'],
  'tasks.': ['url', 'digest', 'id', 'image'],
};

/** Keys that stand whole in some file, and the beginnings of those that are made from a value. */
const whole = new Set([...sources.matchAll(new RegExp(`['"\`](${KEY})['"\`]`, 'g'))].map(([, key = '']) => key));
const begun = [...sources.matchAll(new RegExp(`\`(${KEY}\\.)\\$\\{`, 'g'))].map(([, key = '']) => key);

function isMade(beginning: string, key: string): boolean {
  const endings = MADE[beginning];
  return endings ? endings.some((ending) => beginning + ending === key) : key.startsWith(beginning);
}

it('has no text that no page shows', () => {
  const unused = flat(en)
    .map(([key]) => key)
    .filter((key) => !whole.has(key) && !begun.some((beginning) => isMade(beginning, key)));
  expect(unused).toEqual([]);
  expect(Object.keys(MADE).filter((beginning) => !begun.includes(beginning))).toEqual([]);
});

it('has every text that a page asks for', () => {
  const known = new Set(flat(en).map(([key]) => key));
  const asked = [...sources.matchAll(new RegExp(`\\bt\\(\\s*'(${KEY})'`, 'g'))].map(([, key = '']) => key);
  expect(asked.length).toBeGreaterThan(100);
  expect(asked.filter((key) => !known.has(key))).toEqual([]);
});

it('says the same values in each language', () => {
  const values = (text: string) => [...text.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name).sort();
  const chinese = new Map(flat(zh));
  for (const [key, text] of flat(en)) {
    expect(values(chinese.get(key) ?? ''), key).toEqual(values(text));
  }
  expect(chinese.size).toBe(flat(en).length);
});
