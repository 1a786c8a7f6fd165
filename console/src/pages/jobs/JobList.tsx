import { Menu, Button } from '@mantine/core';
import { IconFlame } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import type { Schemas } from '@/api/client';
import { JOBS, createJob, jobList, type JobState, type JobType } from '@/api/jobs';
import { useMay } from '@/app/session';
import { ChoiceFilter, Filters } from '@/components/Filters';
import { LinkButton } from '@/components/LinkButton';
import { PageHeader } from '@/components/PageHeader';
import { useListState } from '@/components/useListState';
import { useAction } from '@/forms/useAction';
import { JobTable } from './JobTable';

const TYPES: JobType[] = ['preheat', 'get_task', 'delete_task', 'get_image_distribution', 'sync_peers', 'gc'];
const STATES: JobState[] = ['PENDING', 'SUCCESS', 'FAILURE'];

export function Component() {
  const { t } = useTranslation();
  const mayMake = useMay('change', 'jobs');
  const { pageQuery, filter, setPage, setFilter } = useListState(['type', 'state']);
  const type = TYPES.find((one) => one === filter.type);
  const state = STATES.find((one) => one === filter.state);
  const query = useQuery(jobList({ ...pageQuery, type, state }));
  return (
    <>
      <PageHeader
        title={t('jobs.title')}
        text={t('jobs.text')}
        actions={
          mayMake && (
            <>
              <Maintenance />
              <LinkButton to="/jobs/new" leftSection={<IconFlame size={16} aria-hidden />}>
                {t('preheat.title')}
              </LinkButton>
            </>
          )
        }
      />
      <Filters>
        <ChoiceFilter
          label={t('common.type')}
          value={type}
          options={TYPES.map((value) => ({ value, label: t(`jobs.${value}`) }))}
          onChange={(value) => setFilter('type', value)}
        />
        <ChoiceFilter
          label={t('common.state')}
          value={state}
          options={STATES.map((value) => ({ value, label: t(`state.${value}`) }))}
          onChange={(value) => setFilter('state', value)}
        />
      </Filters>
      <JobTable query={query} page={pageQuery.page} onPage={setPage} empty={t('jobs.empty')} />
    </>
  );
}

/** Jobs that need no arguments to speak of. */
function Maintenance() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const start = useAction({
    run: (body: Schemas['CreateJob']) => createJob(body),
    changes: [JOBS],
    done: (made) => t('jobs.made', { id: made.id }),
    onDone: (made) => void navigate(`/jobs/${made.id}`),
  });
  return (
    <Menu>
      <Menu.Target>
        <Button variant="default" loading={start.isPending}>
          {t('jobs.maintenance')}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => start.mutate({ type: 'sync_peers' })}>{t('jobs.sync')}</Menu.Item>
        <Menu.Item onClick={() => start.mutate({ type: 'gc', args: { type: 'job' } })}>{t('jobs.gcJob')}</Menu.Item>
        <Menu.Item onClick={() => start.mutate({ type: 'gc', args: { type: 'audit' } })}>{t('jobs.gcAudit')}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
