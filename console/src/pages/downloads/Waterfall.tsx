import { Group, Text } from '@mantine/core';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import type { Trace } from '@/api/traces';
import { duration } from '@/components/format';
import { Details } from './Details';
import { LineView } from './LineView';
import { extentOf } from './story';
import { Tree } from './Tree';
import { linesOf, type Line } from './waterfall';
import classes from './Waterfall.module.css';

/** Where the axis says the time. */
const TICKS = [0, 0.5, 1];

/** What happened when, line by line. The line that is looked at stands in the address. */
export function Waterfall({ trace }: { trace: Trace }) {
  const { t } = useTranslation();
  const [params, setParams] = useSearchParams();
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const all = useMemo(() => linesOf(trace, new Set()), [trace]);
  const lines = useMemo(() => (folded.size === 0 ? all : linesOf(trace, folded)), [trace, folded, all]);
  const extent = useMemo(() => extentOf(trace), [trace]);
  const chosen = all.find(({ key }) => key === params.get('at'));
  const choose = (line: Line | null) => setParams(line ? { at: line.key } : {}, { replace: true });
  const fold = ({ key, below }: Line, isFolded: boolean) => {
    if (below > 0) {
      setFolded((before) => new Set(isFolded ? [...before, key] : [...before].filter((one) => one !== key)));
    }
  };
  return (
    <div>
      <Group className={classes.axis} aria-hidden>
        {TICKS.map((tick) => (
          <Text key={tick} size="xs" c="dimmed">
            {duration(tick * (extent.end - extent.start))}
          </Text>
        ))}
      </Group>
      <Tree label={t('downloads.waterfall')} lines={lines} folded={folded} onChoose={choose} onFold={fold}>
        {(line) => (
          <LineView
            line={line}
            extent={extent}
            isFolded={folded.has(line.key)}
            onFold={(isFolded) => fold(line, isFolded)}
          />
        )}
      </Tree>
      {chosen && <Details trace={trace} line={chosen} start={extent.start} onClose={() => choose(null)} />}
    </div>
  );
}
