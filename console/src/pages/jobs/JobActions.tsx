import { Button } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { JOBS, cancelJob, deleteJob, hasEnded, type Job } from '@/api/jobs';
import { useMay } from '@/app/session';
import { Confirm } from '@/components/Confirm';
import { useAction } from '@/forms/useAction';
import { RetryDialog } from './RetryDialog';

/** What can be done with a job, as far as it is. */
export function JobActions({ job }: { job: Job }) {
  const { t } = useTranslation();
  const mayChange = useMay('change', 'jobs');
  const [asking, setAsking] = useState<'cancel' | 'retry' | 'delete' | null>(null);
  const close = () => setAsking(null);
  if (!mayChange) {
    return null;
  }
  return (
    <>
      {!hasEnded(job.state) && (
        <Button variant="default" onClick={() => setAsking('cancel')}>
          {t('jobs.cancel')}
        </Button>
      )}
      {job.state === 'FAILURE' && <Button onClick={() => setAsking('retry')}>{t('jobs.retry')}</Button>}
      {hasEnded(job.state) && (
        <Button variant="default" onClick={() => setAsking('delete')}>
          {t('common.delete')}
        </Button>
      )}
      {asking === 'cancel' && <Cancel id={job.id} onClose={close} />}
      {asking === 'retry' && <RetryDialog id={job.id} onClose={close} />}
      {asking === 'delete' && <Delete id={job.id} onClose={close} />}
    </>
  );
}

interface DialogProps {
  id: number;
  onClose: () => void;
}

function Cancel({ id, onClose }: DialogProps) {
  const { t } = useTranslation();
  const action = useAction({
    run: () => cancelJob(id),
    changes: [JOBS],
    done: t('jobs.cancelled'),
    showsFailure: true,
  });
  return (
    <Confirm
      title={t('jobs.cancelTitle', { id })}
      text={t('jobs.cancelText')}
      label={t('jobs.cancel')}
      action={action}
      onClose={onClose}
    />
  );
}

function Delete({ id, onClose }: DialogProps) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const action = useAction({
    run: () => deleteJob(id),
    changes: [JOBS],
    done: t('common.deleted'),
    onDone: () => void navigate('/jobs'),
    showsFailure: true,
  });
  return (
    <Confirm
      title={t('common.confirmDelete', { name: t('jobs.job', { id }) })}
      text={t('jobs.deleteText')}
      label={t('common.delete')}
      action={action}
      onClose={onClose}
    />
  );
}
