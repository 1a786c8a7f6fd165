import { Alert, Button, Stack } from '@mantine/core';
import { IconRefresh } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useParams } from 'react-router';
import { trace, type Trace } from '@/api/traces';
import { useMay } from '@/app/session';
import { Copyable } from '@/components/Copyable';
import { Facts } from '@/components/Facts';
import { duration } from '@/components/format';
import { Loaded } from '@/components/Loaded';
import { Moment } from '@/components/Moment';
import { PageHeader } from '@/components/PageHeader';
import { Panel } from '@/components/Panel';
import { StateMark } from '@/components/StateMark';
import { TextLink } from '@/components/TextLink';
import { Sources } from './Sources';
import { failureOf, summaryOf, textOf, type Summary } from './story';
import { Waterfall } from './Waterfall';

/** One pull: what it was, where its bytes came from, and what happened when. */
export function Component() {
  const { t } = useTranslation();
  const { id = '' } = useParams();
  const query = useQuery(trace(id));
  const found = useMemo(() => query.data && summaryOf(query.data), [query.data]);
  return (
    <>
      <PageHeader
        title={t('downloads.one')}
        text={found?.subject}
        mark={found && <StateMark state={found.failed > 0 ? 'failed' : 'done'} />}
        actions={
          <Button
            variant="default"
            loading={query.isFetching}
            leftSection={<IconRefresh size={16} aria-hidden />}
            onClick={() => void query.refetch()}
          >
            {t('common.refresh')}
          </Button>
        }
      />
      <Loaded query={query}>{(shown) => found && <Shown trace={shown} summary={found} />}</Loaded>
    </>
  );
}

function Shown({ trace: shown, summary }: { trace: Trace; summary: Summary }) {
  const { t } = useTranslation();
  const mayFind = useMay('read', 'jobs');
  const failures = [...new Set(shown.spans.map(failureOf).filter((why) => why !== undefined))];
  const task = shown.spans.map(({ tags }) => textOf(tags, 'dragonfly.task.id')).find(Boolean);
  return (
    <Stack>
      {failures.length > 0 && (
        <Alert color="red" title={t('state.failed')} className="breaks">
          {failures.slice(0, 5).join('; ')}
        </Alert>
      )}
      {shown.warnings && shown.warnings.length > 0 && <Alert color="yellow">{shown.warnings.join('; ')}</Alert>}
      <Panel title={t('downloads.sum')}>
        <Sources of={summary.bytes} />
        <Facts
          of={[
            [t('downloads.began'), <Moment key="began" at={new Date(summary.start / 1000).toISOString()} />],
            [t('downloads.took'), duration(summary.duration)],
            [t('downloads.hosts'), summary.hosts.join(', ')],
            [t('downloads.spanCount'), t('downloads.ofFailed', { count: summary.spans, failed: summary.failed })],
            [t('downloads.trace'), <Copyable key="trace" value={summary.id} label={t('downloads.trace')} />],
            [
              t('kept.task'),
              task !== undefined && mayFind ? (
                <TextLink key="task" to={`/tasks?by=id&text=${encodeURIComponent(task)}`}>
                  {task}
                </TextLink>
              ) : (
                task
              ),
            ],
          ]}
        />
      </Panel>
      <Panel title={t('downloads.waterfall')} text={t('downloads.waterfallText')}>
        <Waterfall trace={shown} />
      </Panel>
    </Stack>
  );
}
