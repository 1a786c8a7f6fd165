import { Stack, TextInput, Textarea } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { USERS, updateUser, user, type User } from '@/api/access';
import { signInWays } from '@/api/providers';
import { useSession } from '@/app/session';
import { Loaded } from '@/components/Loaded';
import { PageHeader } from '@/components/PageHeader';
import { Panel } from '@/components/Panel';
import { Submit } from '@/forms/Submit';
import { useAction } from '@/forms/useAction';
import { SessionsPanel } from '../users/SessionsPanel';
import { PasswordForm } from './PasswordForm';
import { Ways } from './Ways';

export function Component() {
  const { t } = useTranslation();
  const session = useSession();
  const own = useQuery(user(session.user_id));
  return (
    <>
      <PageHeader title={t('profile.title')} text={session.user_name} />
      <Stack>
        <Panel title={t('profile.who')}>
          <Loaded query={own}>{(found) => <WhoForm user={found} />}</Loaded>
        </Panel>
        <Panel title={t('session.change')}>
          <PasswordForm session={session} />
        </Panel>
        <Connect />
        <SessionsPanel userId={session.user_id} />
      </Stack>
    </>
  );
}

function Connect() {
  const { t } = useTranslation();
  const ways = useQuery(signInWays).data ?? [];
  return (
    ways.length > 0 && (
      <Panel title={t('profile.connect')} text={t('profile.connectText')}>
        <Ways label={(name) => t('profile.connectTo', { name })} />
      </Panel>
    )
  );
}

function WhoForm({ user: { id, email, phone, location, bio } }: { user: User }) {
  const { t } = useTranslation();
  const form = useForm({ initialValues: { email, phone, location, bio } });
  const save = useAction({
    run: (values: typeof form.values) => updateUser(id, values),
    changes: [USERS],
    done: t('common.saved'),
    showsFailure: true,
  });
  return (
    <form onSubmit={form.onSubmit((values) => save.mutate(values))}>
      <Stack maw={520}>
        <TextInput label={t('profile.email')} type="email" autoComplete="email" {...form.getInputProps('email')} />
        <TextInput label={t('profile.phone')} autoComplete="tel" {...form.getInputProps('phone')} />
        <TextInput label={t('profile.location')} {...form.getInputProps('location')} />
        <Textarea label={t('profile.bio')} autosize minRows={2} {...form.getInputProps('bio')} />
        <Submit label={t('common.save')} busy={save.isPending} error={save.error} />
      </Stack>
    </form>
  );
}
