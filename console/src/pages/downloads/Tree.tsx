import { useElementSize } from '@mantine/hooks';
import { useState, type KeyboardEvent, type ReactNode } from 'react';
import { moved, shownOf, type Move } from './viewport';
import type { Line } from './waterfall';
import classes from './Waterfall.module.css';

/** The height of a line, as the style has it. */
const LINE = 44;

const MOVES: Record<string, Move> = {
  ArrowUp: 'before',
  ArrowDown: 'after',
  PageUp: 'pageBefore',
  PageDown: 'pageAfter',
  Home: 'first',
  End: 'last',
};

interface Props {
  label: string;
  lines: Line[];
  folded: ReadonlySet<string>;
  onChoose: (line: Line) => void;
  onFold: (line: Line, isFolded: boolean) => void;
  children: (line: Line) => ReactNode;
}

/** Lines of which only those that can be seen are in the page. One stop for the keyboard: arrows go and fold, Enter opens. */
export function Tree({ label, lines, folded, onChoose, onFold, children }: Props) {
  const { ref, height } = useElementSize<HTMLDivElement>();
  const [top, setTop] = useState(0);
  const [active, setActive] = useState(0);
  const at = Math.max(0, Math.min(active, lines.length - 1));
  const { first, last } = shownOf({ top, height, line: LINE, count: lines.length });
  const isShown = at >= first && at < last;
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    const current = lines[at];
    const move = MOVES[event.key];
    if (!current) {
      return;
    }
    if (move) {
      const next = moved(move, at, lines.length, Math.max(1, Math.floor(height / LINE) - 1));
      setActive(next);
      const box = event.currentTarget;
      box.scrollTop = Math.min(Math.max(box.scrollTop, (next + 1) * LINE - box.clientHeight), next * LINE);
    } else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
      onFold(current, event.key === 'ArrowLeft');
    } else if (event.key === 'Enter' || event.key === ' ') {
      onChoose(current);
    } else {
      return;
    }
    event.preventDefault();
  };
  return (
    <div
      ref={ref}
      role="tree"
      aria-label={label}
      aria-activedescendant={isShown ? idOf(at) : undefined}
      tabIndex={0}
      className={classes.tree}
      onScroll={({ currentTarget }) => setTop(currentTarget.scrollTop)}
      onKeyDown={onKeyDown}
    >
      <div role="presentation" style={{ height: lines.length * LINE }}>
        {lines.slice(first, last).map((line, index) => (
          <div
            key={line.key}
            id={idOf(first + index)}
            role="treeitem"
            aria-level={line.depth + 1}
            aria-posinset={line.place[0]}
            aria-setsize={line.place[1]}
            aria-selected={first + index === at}
            aria-expanded={line.below > 0 ? !folded.has(line.key) : undefined}
            data-active={first + index === at || undefined}
            className={classes.line}
            style={{ top: (first + index) * LINE }}
            onClick={() => {
              setActive(first + index);
              onChoose(line);
            }}
          >
            {children(line)}
          </div>
        ))}
      </div>
    </div>
  );
}

function idOf(index: number): string {
  return `line-${index}`;
}
