import { Button } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { JOBS, createJob, type Job } from '@/api/jobs';
import { useMay } from '@/app/session';
import { Confirm } from '@/components/Confirm';
import { useAction } from '@/forms/useAction';

/** Deletes the task that a search was for, on all hosts of the clusters that were asked. */
export function DeleteTask({ job }: { job: Job }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const mayDelete = useMay('change', 'jobs');
  const [asking, setAsking] = useState(false);
  const remove = useAction({
    run: () => createJob({ type: 'delete_task', args: job.args }),
    changes: [JOBS],
    onDone: ({ id }) => void navigate(`/jobs/${id}`),
    showsFailure: true,
  });
  return (
    mayDelete && (
      <>
        <Button variant="default" onClick={() => setAsking(true)}>
          {t('tasks.delete')}
        </Button>
        {asking && (
          <Confirm
            title={t('tasks.deleteTitle')}
            text={t('tasks.deleteText')}
            label={t('common.delete')}
            action={remove}
            onClose={() => setAsking(false)}
          />
        )}
      </>
    )
  );
}
