import ipaddr from 'ipaddr.js';
import { firstBad, lines } from './lines';
import type { Problem, Rule } from './problem';

/** Limits of the manager's scopes. */
const MAX_SCOPE_CHARS = 1024;
const MAX_SCOPE_LINES = 1000;
const MAX_LOCATION_ELEMENTS = 5;

export function length(min: number, max: number, key: Problem['key']): Rule<string> {
  return (value) => {
    // As the manager counts: characters, not units of UTF-16.
    const count = Array.from(value).length;
    return count < min || count > max ? { key } : null;
  };
}

/** Number fields give text while they are empty. */
export function whole(min: number, max: number): Rule<number | string> {
  return (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? null
      : { key: 'clusterForm.limitRange', values: { min, max } };
}

/** Names of data centres, alternatives. */
export const idc: Rule<string> = (value) => {
  if (value.length > MAX_SCOPE_CHARS) {
    return { key: 'clusterForm.tooLong', values: { max: MAX_SCOPE_CHARS } };
  }
  return hasEmptyPart(value) ? { key: 'clusterForm.emptyAlternative' } : null;
};

/** A place from wide to narrow. */
export const location: Rule<string> = (value) => {
  if (value.length > MAX_SCOPE_CHARS) {
    return { key: 'clusterForm.tooLong', values: { max: MAX_SCOPE_CHARS } };
  }
  if (value.split('|').length > MAX_LOCATION_ELEMENTS) {
    return { key: 'clusterForm.tooManyElements' };
  }
  return hasEmptyPart(value) ? { key: 'clusterForm.emptyElement' } : null;
};

/** Networks, one a line. */
export const networks: Rule<string> = (value) =>
  tooMany(value) ?? eachLine(value, 'clusterForm.noNetwork', (line) => ipaddr.isValidCIDR(line));

/** Regular expressions, one a line. */
export const patterns: Rule<string> = (value) =>
  tooMany(value) ??
  eachLine(value, 'clusterForm.noLookaround', (line) => !LOOKAROUND.test(line)) ??
  eachLine(value, 'clusterForm.noPattern', isPattern);

/** Addresses, one a line. */
export const addresses: Rule<string> = (value) => eachLine(value, 'preheat.badIp', isAddress);

export const urls: Rule<string> = (value) => eachLine(value, 'preheat.badUrl', (line) => URL.canParse(line));

export const headerLines: Rule<string> = (value) => eachLine(value, 'preheat.badHeader', (line) => HEADER.test(line));

export const priorities: Rule<string> = (value) =>
  eachLine(value, 'blocks.priorityLine', (line) => /^[0-9]{1,9}$/.test(line));

export const optionalAddress: Rule<string> = (value) =>
  value === '' || isAddress(value) ? null : { key: 'match.noAddress' };

export const platform: Rule<string> = (value) =>
  value === '' || /^[a-z0-9]+\/[a-z0-9_]+(\/[a-z0-9]+)?$/.test(value) ? null : { key: 'preheat.badPlatform' };

/** A label of Kubernetes' nodes. */
export const nodeLabel: Rule<string> = (value) =>
  value === '' || /^[A-Za-z0-9][-A-Za-z0-9_./]*=[-A-Za-z0-9_.]+$/.test(value) ? null : { key: 'helm.badLabel' };

/** What mail addresses have in common; the field may be empty. */
export const email: Rule<string> = (value) =>
  value === '' || /^[^@\s]+@[^@\s]+$/.test(value) ? null : { key: 'users.badEmail' };

const HEADER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:\s*\S/;
/** What the manager's regular expressions lack, and the browser's have. */
const LOOKAROUND = /\(\?<?[=!]|\\[1-9]|\\k</;
/** Flags at the start of a pattern, which the browser's regular expressions lack. */
const FLAGS = /^\(\?[imsxUu]+\)/;

export function isPattern(text: string): boolean {
  try {
    new RegExp(text.replace(FLAGS, ''));
    return true;
  } catch {
    return false;
  }
}

function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
}

function hasEmptyPart(value: string): boolean {
  return value !== '' && value.split('|').some((part) => part.trim() === '');
}

function tooMany(value: string): Problem | null {
  return lines(value).length > MAX_SCOPE_LINES
    ? { key: 'clusterForm.tooManyLines', values: { max: MAX_SCOPE_LINES } }
    : null;
}

function eachLine(value: string, key: Problem['key'], holds: (line: string) => boolean): Problem | null {
  const bad = firstBad(value, (line) => (holds(line) ? null : {}));
  return bad && { key, values: { line: bad.line, text: bad.text } };
}
