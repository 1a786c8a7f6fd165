import { Loader, Group, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { hasEnded, type Job } from '@/api/jobs';
import { useMay } from '@/app/session';
import { LinkButton } from '@/components/LinkButton';
import { Loaded } from '@/components/Loaded';
import { Panel } from '@/components/Panel';
import { subject } from '../jobs/subject';
import { useJob } from '../jobs/useJob';
import { DeleteTask } from './DeleteTask';
import { Holders } from './Holders';

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
