import { PasswordInput, Stack } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { SESSION, changePassword, type Session } from '@/api/session';
import { told } from '@/forms/problem';
import { length } from '@/forms/rules';
import { Submit } from '@/forms/Submit';
import { useAction } from '@/forms/useAction';

const passwordRule = length(8, 20, 'session.passwordLength');

/** Sets another password; the manager says whether it takes it. */
export function PasswordForm({ session }: { session: Session }) {
  const { t } = useTranslation();
  const form = useForm({
    initialValues: { old: '', fresh: '', again: '' },
    validateInputOnChange: true,
    validate: {
      fresh: (value, values) =>
        told(t, passwordRule)(value) ?? (value === values.old ? t('session.passwordSame') : null),
      again: (value, values) => (value === values.fresh ? null : t('session.passwordRepeat')),
    },
  });
  const change = useAction({
    run: (values: typeof form.values) => changePassword(session, values.old, values.fresh),
    changes: [SESSION],
    done: t('session.changed'),
    onDone: () => form.reset(),
    showsFailure: true,
  });
  return (
    <form onSubmit={form.onSubmit((values) => change.mutate(values))} noValidate>
      <Stack maw={400}>
        <input type="text" autoComplete="username" value={session.user_name} readOnly hidden />
        <PasswordInput
          label={t('session.oldPassword')}
          autoComplete="current-password"
          required
          {...form.getInputProps('old')}
        />
        <PasswordInput
          label={t('session.newPassword')}
          description={t('session.passwordLength')}
          autoComplete="new-password"
          required
          {...form.getInputProps('fresh')}
        />
        <PasswordInput
          label={t('session.repeat')}
          autoComplete="new-password"
          required
          {...form.getInputProps('again')}
        />
        <Submit label={t('session.change')} busy={change.isPending} error={change.error} />
      </Stack>
    </form>
  );
}
