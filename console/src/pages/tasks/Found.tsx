import { Alert, Loader, Group, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { hasEnded, type Job } from '@/api/jobs';
import { useMay } from '@/app/session';
import { Rows } from '@/components/DataTable';
import { Empty } from '@/components/Empty';
import { LinkButton } from '@/components/LinkButton';
import { Loaded } from '@/components/Loaded';
import { Panel } from '@/components/Panel';
import { TextLink } from '@/components/TextLink';
import { subject } from '../jobs/subject';
import { useJob } from '../jobs/useJob';
import { DeleteTask } from './DeleteTask';
import { holders, imageHolders } from './search';

/** What a search has found. */
export function Found({ id }: { id: number }) {
  const { t } = useTranslation();
  const { query } = useJob(id);
  return (
    <Loaded query={query}>
      {(job) => (
        <Panel
          title={t('tasks.holders')}
          text={subject(job)}
          actions={
            <Group gap="xs">
              <Downloads job={job} />
              {job.type === 'get_task' && job.state === 'SUCCESS' && <DeleteTask job={job} />}
            </Group>
          }
        >
          {hasEnded(job.state) ? (
            <Holders job={job} />
          ) : (
            <Group role="status">
              <Loader size="sm" aria-hidden />
              <Text>{t('tasks.searching')}</Text>
            </Group>
          )}
        </Panel>
      )}
    </Loaded>
  );
}

/** The way to the pulls of a task, where its ID is known. */
function Downloads({ job: { args } }: { job: Job }) {
  const { t } = useTranslation();
  const mayRead = useMay('read', 'traces');
  const id = 'task_id' in args ? args.task_id : '';
  if (!mayRead || !id) {
    return null;
  }
  return (
    <LinkButton variant="default" to={`/downloads?tags=${encodeURIComponent(`dragonfly.task.id=${id}`)}`}>
      {t('tasks.downloads')}
    </LinkButton>
  );
}

function Holders({ job }: { job: Job }) {
  const { t } = useTranslation();
  const works = job.result.job_states;
  const names = new Map(job.scheduler_clusters.map(({ id, name }) => [id, name]));
  const cluster = ({ clusterId }: { clusterId: number }) => (
    <TextLink to={`/clusters/${clusterId}`}>{names.get(clusterId) ?? clusterId}</TextLink>
  );
  const failures = works.map(({ error }) => error).filter(Boolean);
  const tasks = holders(works);
  const images = imageHolders(works);
  const common = [
    { title: t('members.host'), cell: (row: { hostname: string }) => row.hostname },
    { title: t('peers.ip'), cell: (row: { ip: string }) => row.ip },
  ];
  return (
    <>
      {failures.length > 0 && (
        <Alert color="red" role="alert" title={t('tasks.failed')}>
          {failures.join('; ')}
        </Alert>
      )}
      {tasks.length + images.length === 0 && failures.length === 0 && <Empty text={t('tasks.noHolders')} />}
      {tasks.length > 0 && (
        <Rows
          label={t('tasks.holders')}
          rows={tasks}
          rowKey={(row) => `${row.clusterId} ${row.hostname} ${row.ip}`}
          columns={[
            ...common,
            { title: t('peers.cluster'), cell: cluster },
            { title: t('tasks.hostType'), cell: (row) => t(row.isSeed ? 'tasks.seed' : 'tasks.normal') },
            { title: t('common.state'), cell: (row) => t(row.isComplete ? 'tasks.complete' : 'tasks.partial') },
          ]}
        />
      )}
      {images.length > 0 && (
        <Rows
          label={t('tasks.holders')}
          rows={images}
          rowKey={(row) => `${row.clusterId} ${row.hostname} ${row.ip}`}
          columns={[
            ...common,
            { title: t('peers.cluster'), cell: cluster },
            {
              title: t('tasks.layers'),
              cell: (row) => t('tasks.ofLayers', { done: row.layers, total: row.ofLayers }),
            },
          ]}
        />
      )}
    </>
  );
}
