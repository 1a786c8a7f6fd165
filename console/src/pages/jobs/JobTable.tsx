import { Progress, Stack, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { Job } from '@/api/jobs';
import type { Page } from '@/api/page';
import { DataTable, type Column } from '@/components/DataTable';
import { percent } from '@/components/format';
import { Moment } from '@/components/Moment';
import { StateMark } from '@/components/StateMark';
import { TextLink } from '@/components/TextLink';
import { subject } from './subject';
import { total } from './targets';

interface Props {
  query: UseQueryResult<Page<Job>>;
  page: number;
  onPage: (page: number) => void;
  empty: string;
}

export function JobTable(props: Props) {
  const { t } = useTranslation();
  const columns: Column<Job>[] = [
    {
      title: t('jobs.what'),
      cell: (row) => (
        <Stack gap={0} maw={360}>
          <TextLink to={`/jobs/${row.id}`} fw={600} lineClamp={2} className="breaks">
            {subject(row) || t('jobs.job', { id: row.id })}
          </TextLink>
          <Text size="xs" c="dimmed">
            {row.id} · {t(`jobs.${row.type}`)}
          </Text>
        </Stack>
      ),
    },
    { title: t('common.state'), cell: (row) => <StateMark state={row.state} /> },
    { title: t('jobs.targets'), cell: (row) => <Targets job={row} /> },
    { title: t('jobs.user'), cell: (row) => row.user?.name ?? t('common.none') },
    { title: t('common.created'), cell: (row) => <Moment at={row.created_at} /> },
  ];
  return <DataTable label={t('jobs.title')} columns={columns} rowKey={(row) => row.id} {...props} />;
}

function Targets({ job }: { job: Job }) {
  const { t } = useTranslation();
  const { targets } = job.result.progress;
  const all = total(targets);
  if (all === 0) {
    return <>{t('common.none')}</>;
  }
  const done = targets.done ?? 0;
  return (
    <Stack gap={4} miw={90}>
      <Text size="sm">
        {done} / {all}
      </Text>
      <Progress value={percent(done, all)} size="xs" aria-hidden />
    </Stack>
  );
}
