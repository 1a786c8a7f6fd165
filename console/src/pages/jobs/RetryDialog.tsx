import { PasswordInput, Text, Textarea } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { JOBS, retryJob } from '@/api/jobs';
import { FormDialog } from '@/forms/FormDialog';
import { headersOf } from '@/forms/headers';
import { told } from '@/forms/problem';
import { headerLines } from '@/forms/rules';
import { useAction } from '@/forms/useAction';

/** Tries again what failed of a job, with its secrets given anew. */
export function RetryDialog({ id, onClose }: { id: number; onClose: () => void }) {
  const { t } = useTranslation();
  const form = useForm({
    initialValues: { password: '', headers: '' },
    validateInputOnChange: true,
    validate: { headers: told(t, headerLines) },
  });
  const action = useAction({
    run: ({ password, headers }: typeof form.values) =>
      retryJob(id, { ...(password && { password }), headers: headersOf(headers) }),
    changes: [JOBS],
    done: t('jobs.retried'),
    showsFailure: true,
  });
  return (
    <FormDialog title={t('jobs.retryTitle')} submit={t('jobs.retry')} form={form} action={action} onClose={onClose}>
      <Text size="sm">{t('jobs.retryText')}</Text>
      <PasswordInput label={t('preheat.password')} autoComplete="off" {...form.getInputProps('password')} />
      <Textarea
        label={t('preheat.headers')}
        description={t('preheat.headersHelp')}
        autosize
        minRows={2}
        {...form.getInputProps('headers')}
      />
    </FormDialog>
  );
}
