import { Alert, Button, Group, Modal, MultiSelect, NumberInput, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { TOKENS, createToken } from '@/api/access';
import { Copyable } from '@/components/Copyable';
import { told } from '@/forms/problem';
import { length, whole } from '@/forms/rules';
import { Submit } from '@/forms/Submit';
import { useAction } from '@/forms/useAction';
import { SCOPES, expiry } from './token';

/** Makes a token and shows it, which is possible this once. */
export function AddToken({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const form = useForm({
    initialValues: { name: '', bio: '', scopes: [] as string[], days: 90 as number | string },
    validateInputOnChange: true,
    validate: { name: told(t, length(1, 64, 'tokens.nameLength')), days: told(t, whole(1, 3650)) },
  });
  const create = useAction({
    run: ({ name, bio, scopes, days }: typeof form.values) =>
      createToken({ name, bio, scopes, expired_at: expiry(new Date(), Number(days)) }),
    changes: [TOKENS],
    showsFailure: true,
  });
  const token = create.data?.token;
  return (
    <Modal opened onClose={onClose} title={token ? t('tokens.once') : t('tokens.add')} closeOnClickOutside={!token}>
      {token ? (
        <Stack>
          <Alert color="yellow">{t('tokens.onceText')}</Alert>
          <Copyable value={token} label={t('tokens.token')} />
          <Group justify="flex-end">
            <Button onClick={onClose}>{t('common.close')}</Button>
          </Group>
        </Stack>
      ) : (
        <form onSubmit={form.onSubmit((values) => create.mutate(values))} noValidate>
          <Stack>
            <TextInput label={t('common.name')} required data-autofocus {...form.getInputProps('name')} />
            <TextInput label={t('common.description')} {...form.getInputProps('bio')} />
            <MultiSelect
              label={t('tokens.scopes')}
              description={t('tokens.scopesHelp')}
              data={SCOPES}
              searchable
              {...form.getInputProps('scopes')}
            />
            <NumberInput
              label={t('tokens.days')}
              description={t('tokens.dayRange')}
              allowDecimal={false}
              {...form.getInputProps('days')}
            />
            <Submit label={t('common.add')} busy={create.isPending} error={create.error} onCancel={onClose} />
          </Stack>
        </form>
      )}
    </Modal>
  );
}
