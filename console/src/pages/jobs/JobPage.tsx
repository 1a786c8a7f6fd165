import { Badge, Code, Stack } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { lazy, Suspense } from 'react';
import { hasEnded, type Job } from '@/api/jobs';
import { useId } from '@/app/useId';
import { Facts } from '@/components/Facts';
import { Loaded, Loading } from '@/components/Loaded';
import { Moment } from '@/components/Moment';
import { PageHeader } from '@/components/PageHeader';
import { Panel } from '@/components/Panel';
import { StateMark } from '@/components/StateMark';
import { Clusters } from './Clusters';
import { JobActions } from './JobActions';
import { JobProgress } from './JobProgress';
import { subject } from './subject';
import { TargetList } from './TargetList';
import { useJob } from './useJob';

// The charts are larger than everything else on the page.
const ClusterChart = lazy(() => import('./ClusterChart'));

export function Component() {
  const { query, isLive } = useJob(useId());
  return <Loaded query={query}>{(found) => <Shown job={found} isLive={isLive} />}</Loaded>;
}

function Shown({ job, isLive }: { job: Job; isLive: boolean }) {
  const { t } = useTranslation();
  const { progress } = job.result;
  const arrived = progress.ended_at ?? null;
  return (
    <>
      <PageHeader
        title={`${t(`jobs.${job.type}`)} ${job.id}`}
        text={subject(job)}
        mark={isLive && <Badge variant="default">{t('jobs.live')}</Badge>}
        actions={<JobActions job={job} />}
      />
      <Stack>
        <Panel title={t('jobs.progress')}>
          <JobProgress progress={progress} />
          <Facts
            of={[
              [t('common.state'), <StateMark key="state" state={job.state} />],
              [t('jobs.user'), job.user?.name],
              [t('common.created'), <Moment key="created" at={job.created_at} />],
              hasEnded(job.state)
                ? [t('jobs.ended'), <Moment key="ended" at={arrived} />]
                : [t('jobs.deadline'), <Moment key="deadline" at={progress.deadline} />],
              [t('common.description'), job.bio],
            ]}
          />
        </Panel>
        {job.result.job_states.length > 1 && (
          <Panel title={t('jobs.perCluster')}>
            <Suspense fallback={<Loading />}>
              <ClusterChart job={job} />
            </Suspense>
          </Panel>
        )}
        <Clusters job={job} />
        {job.type === 'preheat' && <TargetList job={job} />}
        <Panel title={t('jobs.args')}>
          <Code block tabIndex={0}>
            {JSON.stringify(job.args, null, 2)}
          </Code>
        </Panel>
      </Stack>
    </>
  );
}
