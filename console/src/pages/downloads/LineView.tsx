import { Text } from '@mantine/core';
import { IconChevronDown, IconChevronRight } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { bytes, duration } from '@/components/format';
import { hostOf, textOf } from './story';
import { useLineName } from './useLineName';
import type { Line } from './waterfall';
import classes from './Waterfall.module.css';

/** What a span says of itself beside its name. */
const SAYS = ['http.url', 'rpc.method', 'scheduler', 'reason', 'dragonfly.peer.id'];
const STEP = 14;

interface Props {
  line: Line;
  extent: { start: number; end: number };
  isFolded: boolean;
  onFold: (isFolded: boolean) => void;
}

/** A line of the waterfall: what, how long, and its part of the whole time. */
export function LineView({ line, extent, isFolded, onFold }: Props) {
  const { t } = useTranslation();
  const nameOf = useLineName();
  const Fold = isFolded ? IconChevronRight : IconChevronDown;
  return (
    <>
      <div className={classes.name} style={{ paddingInlineStart: line.depth * STEP }}>
        {line.below > 0 ? (
          // By the keyboard it is folded with the arrows.
          <Fold
            aria-hidden
            className={classes.fold}
            onClick={(event) => {
              event.stopPropagation();
              onFold(!isFolded);
            }}
          />
        ) : (
          <span className={classes.fold} />
        )}
        <Text size="sm" fw={line.kind === 'span' ? 600 : 400} className="whole">
          {nameOf(line)}
        </Text>
        {line.hasFailed && (
          <Text size="sm" c="red" fw={600}>
            {t('state.failed')}
          </Text>
        )}
        <Text size="xs" c="dimmed" truncate className={classes.detail}>
          {detailOf(line)}
        </Text>
        <Text size="xs" className="whole">
          {duration(line.duration)}
        </Text>
      </div>
      <div className={classes.track} aria-hidden>
        <span className={classes.bar} data-tone={toneOf(line)} style={placeOf(line, extent)} />
      </div>
    </>
  );
}

function detailOf(line: Line): string {
  if (line.kind === 'piece') {
    const { length, parent } = line.piece;
    return [bytes(length), parent && hostOf(parent)].filter(Boolean).join(' · ');
  }
  const { tags } = line.span;
  const key = SAYS.find((one) => textOf(tags, one) !== undefined);
  const said = key === undefined ? '' : (textOf(tags, key) ?? '');
  return key === 'dragonfly.peer.id' ? hostOf(said) : said;
}

function toneOf(line: Line): string {
  if (line.hasFailed) {
    return 'failed';
  }
  if (line.kind === 'piece') {
    return line.piece.source;
  }
  return line.span.operationName === 'back_to_source' ? 'origin' : 'quiet';
}

function placeOf({ start, duration: long }: Line, extent: { start: number; end: number }) {
  const whole = Math.max(extent.end - extent.start, 1);
  // A piece's beginning is reckoned, and may so stand a little before that of its trace.
  const left = Math.max(0, Math.min(((start - extent.start) / whole) * 100, 100));
  return { left: `min(${left}%, 100% - 2px)`, width: `${Math.min((long / whole) * 100, 100 - left)}%` };
}
