import { expect, it } from 'vitest';
import { piece, span, traceOf } from './trace.fixture';
import { linesOf } from './waterfall';

const NOTHING = new Set<string>();

function shown(lines: ReturnType<typeof linesOf>): string[] {
  return lines.map((line) => `${' '.repeat(line.depth)}${line.kind === 'span' ? line.key : `#${line.piece.number}`}`);
}

const PULL = traceOf(
  span('c', 'b', 1500, 500),
  span('b', 'a', 1000, 1000, { logs: [piece(1, 1900, 0.1), piece(0, 1400, 0.1)] }),
  span('d', 'a', 1900, 100),
  span('a', '', 0, 2000),
  span('e', 'absent', 3000, 1),
);

it('puts each span below its parent and pieces in their turn', () => {
  expect(shown(linesOf(PULL, NOTHING))).toEqual(['a', ' b', '  #0', '  c', '  #1', ' d', 'e']);
});

it('leaves out what is below a folded span', () => {
  const lines = linesOf(PULL, new Set(['b']));
  expect(shown(lines)).toEqual(['a', ' b', ' d', 'e']);
  expect(lines[1]?.below).toBe(3);
});

it('shows spans that are each other’s parents once', () => {
  const strange = traceOf(span('a', 'b', 0, 1), span('b', 'a', 0, 1), span('c', 'c', 0, 1));
  expect(linesOf(strange, NOTHING)).toHaveLength(3);
});

it('is told of spans far within each other, and of very many', () => {
  const deep = Array.from({ length: 20_000 }, (_, index) =>
    span(`${index}`, index === 0 ? '' : `${index - 1}`, index, 1),
  );
  const lines = linesOf(traceOf(...deep), NOTHING);
  expect(lines).toHaveLength(20_000);
  expect(lines.at(-1)?.depth).toBe(12);
  const wide = Array.from({ length: 20_000 }, (_, index) => span(`w${index}`, '0', index, 1));
  expect(linesOf({ ...PULL, spans: [span('0', '', 0, 1), ...wide] }, NOTHING)).toHaveLength(20_001);
});
