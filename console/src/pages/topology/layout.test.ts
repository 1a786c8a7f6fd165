import { expect, it } from 'vitest';
import { CLUSTER } from '../clusters/cluster.fixture';
import { layout, type Drawn } from './layout';

function member(id: number): Drawn {
  return { id: `peer-${id}`, kind: 'peer', name: 'a', address: '10.0.0.1', state: id % 2 ? 'inactive' : 'active' };
}

const ONE = { ...CLUSTER, id: 1, name: 'cluster-1' };

it('draws a line to each cluster, and to the members of opened ones', () => {
  const { spots, lines } = layout([ONE, CLUSTER], new Map([[2, { drawn: [member(0), member(1)], more: 3 }]]));
  expect(spots.map(({ id }) => id)).toEqual(['manager', 'cluster-1', 'cluster-2', 'peer-0', 'peer-1', 'more-2']);
  expect(lines.map(({ to, isAlive }) => [to, isAlive])).toEqual([
    ['cluster-1', true],
    ['cluster-2', true],
    ['peer-0', true],
    ['peer-1', false],
    ['more-2', true],
  ]);
});

it('lets nothing overlap', () => {
  const drawn = Array.from({ length: 30 }, (_, index) => member(index));
  const { spots } = layout([ONE, CLUSTER], new Map([[1, { drawn, more: 0 }]]));
  const places = spots.map(({ x, y }) => `${x} ${y}`);
  expect(new Set(places).size).toBe(places.length);
});

it('says that an opened cluster has nobody', () => {
  const { spots } = layout([ONE], new Map([[1, { drawn: [], more: 0 }]]));
  expect(spots.at(-1)?.kind).toBe('nobody');
});
