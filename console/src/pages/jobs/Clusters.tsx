import { useTranslation } from 'react-i18next';
import type { Job } from '@/api/jobs';
import { Rows } from '@/components/DataTable';
import { Panel } from '@/components/Panel';
import { StateMark } from '@/components/StateMark';
import { TextLink } from '@/components/TextLink';

/** Each cluster's part of a job. */
export function Clusters({ job }: { job: Job }) {
  const { t } = useTranslation();
  const works = job.result.job_states;
  const names = new Map(job.scheduler_clusters.map(({ id, name }) => [id, name]));
  if (works.length === 0) {
    return null;
  }
  return (
    <Panel title={t('jobs.clusters')}>
      <Rows
        label={t('jobs.clusters')}
        rows={works}
        rowKey={(row) => row.task_uuid}
        columns={[
          {
            title: t('common.name'),
            cell: ({ scheduler_cluster_id: id }) => <TextLink to={`/clusters/${id}`}>{names.get(id) ?? id}</TextLink>,
          },
          { title: t('common.state'), cell: (row) => <StateMark state={row.state} /> },
          { title: t('state.done'), numeric: true, cell: (row) => row.targets.done ?? 0 },
          { title: t('state.failed'), numeric: true, cell: (row) => row.targets.failed ?? 0 },
          { title: t('jobs.attempts'), numeric: true, cell: (row) => row.attempts },
          { title: t('jobs.why'), cell: (row) => row.error },
        ]}
      />
    </Panel>
  );
}
