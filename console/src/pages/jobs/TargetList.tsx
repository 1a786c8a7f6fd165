import { Progress, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { targetList, type Job, type JobTarget, type TargetState } from '@/api/jobs';
import { PAGE_SIZE } from '@/api/page';
import { DataTable, type Column } from '@/components/DataTable';
import { ChoiceFilter } from '@/components/Filters';
import { bytes, percent } from '@/components/format';
import { Panel } from '@/components/Panel';
import { StateMark } from '@/components/StateMark';
import { TARGET_STATES } from './targets';

/** Each content on each host; what has failed says why. */
export function TargetList({ job }: { job: Job }) {
  const { t } = useTranslation();
  const [page, setPage] = useState(1);
  const [state, setState] = useState<TargetState | null>(null);
  const query = useQuery(targetList(job.id, { page, per_page: PAGE_SIZE, ...(state && { state }) }));
  const notKept = job.result.progress.targets_not_kept;
  const columns: Column<JobTarget>[] = [
    {
      title: t('jobs.host'),
      cell: (row) => (
        <Stack gap={0}>
          <Text size="sm">{row.hostname}</Text>
          <Text size="xs" c="dimmed">
            {row.ip}
          </Text>
        </Stack>
      ),
    },
    {
      title: t('jobs.content'),
      cell: (row) => (
        <Text size="sm" maw={320} className="breaks">
          {row.url}
        </Text>
      ),
    },
    { title: t('jobs.bytes'), cell: (row) => <Bytes target={row} /> },
    { title: t('common.state'), cell: (row) => <StateMark state={row.state} /> },
    { title: t('jobs.why'), cell: (row) => row.description },
  ];
  return (
    <Panel
      title={t('jobs.targets')}
      text={t('jobs.targetsText')}
      actions={
        <ChoiceFilter
          label={t('common.state')}
          value={state ?? undefined}
          options={TARGET_STATES.map(({ state: value }) => ({ value, label: t(`state.${value}`) }))}
          onChange={(chosen) => {
            setState(chosen);
            setPage(1);
          }}
        />
      }
    >
      <DataTable
        label={t('jobs.targets')}
        query={query}
        columns={columns}
        rowKey={(row) => row.id}
        page={page}
        onPage={setPage}
        empty={state ? t('common.emptyFiltered') : t('jobs.noTargets')}
      />
      {notKept > 0 && <Text size="sm">{t('jobs.notKept', { count: notKept })}</Text>}
    </Panel>
  );
}

function Bytes({ target: { finished_length: done, content_length: all } }: { target: JobTarget }) {
  const { t } = useTranslation();
  return (
    <Stack gap={4} miw={110}>
      <Text size="sm" className="whole">
        {bytes(done)} / {all ? bytes(all) : t('common.unknown')}
      </Text>
      <Progress value={percent(done, all ?? 0)} size="xs" aria-hidden />
    </Stack>
  );
}
