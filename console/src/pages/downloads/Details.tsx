import { Alert, Drawer, Stack, Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Log, Tag, Trace } from '@/api/traces';
import { Facts } from '@/components/Facts';
import { bytes, duration } from '@/components/format';
import { failureOf, isPiece, plain } from './story';
import { useLineName } from './useLineName';
import type { Line } from './waterfall';

/** The most events that are shown of one span; pieces are lines of their own. */
const MAX_EVENTS = 100;

interface Props {
  trace: Trace;
  line: Line;
  /** When the trace began. */
  start: number;
  onClose: () => void;
}

/** All that is told of one line. */
export function Details({ trace, line, start, onClose }: Props) {
  const { t } = useTranslation();
  const nameOf = useLineName();
  const failure = line.kind === 'span' ? failureOf(line.span) : undefined;
  return (
    <Drawer
      opened
      onClose={onClose}
      position="right"
      title={nameOf(line)}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <Stack>
        {failure !== undefined && (
          <Alert color="red" title={t('state.failed')} className="breaks">
            {failure}
          </Alert>
        )}
        <Facts
          of={[
            [t('downloads.after'), duration(Math.max(0, line.start - start))],
            [t('downloads.took'), duration(line.duration)],
            [t('downloads.service'), trace.processes[line.span.processID]?.serviceName],
            ...(line.kind === 'piece'
              ? ([
                  [t('kept.size'), bytes(line.piece.length)],
                  [t('downloads.parent'), line.piece.parent],
                ] as [string, string | undefined][])
              : ([[t('downloads.span'), line.span.spanID]] as [string, string][])),
          ]}
        />
        {line.kind === 'span' && (
          <>
            <Tags title={t('downloads.tags')} tags={line.span.tags} />
            <Tags title={t('downloads.process')} tags={trace.processes[line.span.processID]?.tags ?? []} />
            <Events logs={line.span.logs.filter((log) => !isPiece(log))} start={start} />
          </>
        )}
      </Stack>
    </Drawer>
  );
}

function Tags({ title, tags }: { title: string; tags: Tag[] }) {
  if (tags.length === 0) {
    return null;
  }
  return (
    <section>
      <Title order={3} size="h5" mb="xs">
        {title}
      </Title>
      <Stack component="dl" gap="xs" m={0}>
        {tags.map(({ key, value }, index) => (
          <div key={`${key} ${index}`}>
            <Text component="dt" size="xs" c="dimmed" className="breaks">
              {key}
            </Text>
            <Text component="dd" size="sm" m={0} className="breaks">
              {plain(value)}
            </Text>
          </div>
        ))}
      </Stack>
    </section>
  );
}

function Events({ logs, start }: { logs: Log[]; start: number }) {
  const { t } = useTranslation();
  if (logs.length === 0) {
    return null;
  }
  return (
    <section>
      <Title order={3} size="h5" mb="xs">
        {t('downloads.events')}
      </Title>
      <Stack component="ol" gap="xs" m={0} p={0}>
        {logs.slice(0, MAX_EVENTS).map(({ timestamp, fields }, index) => (
          <Text component="li" size="sm" className="breaks" key={`${timestamp} ${index}`}>
            {duration(Math.max(0, timestamp - start))}:{' '}
            {fields.map(({ key, value }) => `${key}=${plain(value)}`).join(' ')}
          </Text>
        ))}
      </Stack>
      {logs.length > MAX_EVENTS && (
        <Text size="sm" c="dimmed">
          {t('topology.more', { count: logs.length - MAX_EVENTS })}
        </Text>
      )}
    </section>
  );
}
