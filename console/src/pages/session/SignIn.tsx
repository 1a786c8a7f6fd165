import { Alert, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { useLocation, useNavigate, useSearchParams } from 'react-router';
import { SESSION, signIn } from '@/api/session';
import { Submit } from '@/forms/Submit';
import { useAction } from '@/forms/useAction';
import { Entrance } from './Entrance';
import { inside } from './inside';
import { Ways } from './Ways';

export function Component() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [params] = useSearchParams();
  const state: unknown = useLocation().state;
  const form = useForm({ initialValues: { name: '', password: '' } });
  const enter = useAction({
    run: (values: typeof form.values) => signIn(values.name, values.password),
    changes: [SESSION],
    onDone: () => void navigate(inside(params.get('next')), { replace: true }),
    showsFailure: true,
  });
  return (
    <Entrance title={t('session.title')} text={t('session.welcome')}>
      <form onSubmit={form.onSubmit((values) => enter.mutate(values))}>
        <Stack>
          {wasEnded(state) && !enter.error && <Alert>{t('session.ended')}</Alert>}
          <TextInput
            label={t('session.name')}
            autoComplete="username"
            autoFocus
            required
            {...form.getInputProps('name')}
          />
          <PasswordInput
            label={t('session.password')}
            autoComplete="current-password"
            required
            {...form.getInputProps('password')}
          />
          <Submit label={t('session.submit')} busy={enter.isPending} error={enter.error} />
        </Stack>
      </form>
      <Ways label={(name) => t('session.by', { name })} />
    </Entrance>
  );
}

function wasEnded(state: unknown): boolean {
  return typeof state === 'object' && state !== null && Reflect.get(state, 'ended') === true;
}
