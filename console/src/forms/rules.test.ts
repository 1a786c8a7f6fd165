import { describe, expect, it } from 'vitest';
import { addresses, headerLines, idc, length, location, networks, patterns, platform, whole } from './rules';

describe('scopes', () => {
  it('finds the line that is no network', () => {
    expect(networks('10.0.0.0/8\n\nfd00::/8')).toBeNull();
    expect(networks('10.0.0.0/8\n10.0.0.0/33')?.values).toEqual({ line: 2, text: '10.0.0.0/33' });
    expect(networks('10.0.0.1')?.key).toBe('clusterForm.noNetwork');
  });

  it('takes the regular expressions that the manager takes', () => {
    expect(patterns('^node-[0-9]+\n(?i)B')).toBeNull();
    expect(patterns('a(')?.key).toBe('clusterForm.noPattern');
    expect(patterns('a(?=b)')?.key).toBe('clusterForm.noLookaround');
    expect(patterns('(a)\\1')?.key).toBe('clusterForm.noLookaround');
  });

  it('wants no empty alternative, and at most five elements of a place', () => {
    expect(idc('')).toBeNull();
    expect(idc('a|b')).toBeNull();
    expect(idc('a||b')?.key).toBe('clusterForm.emptyAlternative');
    expect(location('a|b|c|d|e')).toBeNull();
    expect(location('a|b|c|d|e|f')?.key).toBe('clusterForm.tooManyElements');
    expect(location('a|')?.key).toBe('clusterForm.emptyElement');
  });
});

describe('fields', () => {
  it('counts characters as the manager does', () => {
    const rule = length(1, 2, 'clusterForm.nameLength');
    expect(rule('🐉🐉')).toBeNull();
    expect(rule('')).not.toBeNull();
    expect(rule('🐉🐉🐉')).not.toBeNull();
  });

  it('takes whole numbers within limits only', () => {
    const rule = whole(1, 20);
    expect(rule(20)).toBeNull();
    expect([0, 21, 1.5, ''].map(rule)).not.toContain(null);
  });

  it('knows addresses, headers and platforms', () => {
    expect(addresses('10.0.0.7\n::1')).toBeNull();
    expect(addresses('10.0.7')).not.toBeNull();
    expect(headerLines('Authorization: Bearer x')).toBeNull();
    expect(headerLines('Authorization')).not.toBeNull();
    expect(platform('linux/arm/v7')).toBeNull();
    expect(platform('linux')).not.toBeNull();
  });
});
