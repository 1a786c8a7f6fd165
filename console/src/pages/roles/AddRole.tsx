import { MultiSelect, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { ROLES, createRole, permissionList } from '@/api/access';
import { FormDialog } from '@/forms/FormDialog';
import { useAction } from '@/forms/useAction';
import { keyOf, useRightName } from './rights';

export function AddRole({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const nameOf = useRightName();
  const permissions = useQuery(permissionList).data ?? [];
  const form = useForm({
    initialValues: { role: '', rights: [] as string[] },
    validateInputOnChange: true,
    validate: {
      role: (value) => (/^[A-Za-z0-9_-]{1,64}$/.test(value) ? null : t('roles.nameRule')),
      rights: (value) => (value.length === 0 ? t('roles.needed') : null),
    },
  });
  const action = useAction({
    run: ({ role, rights }: typeof form.values) =>
      createRole({ role, permissions: permissions.filter((right) => rights.includes(keyOf(right))) }),
    changes: [ROLES],
    onDone: () => void navigate(`/roles/${form.values.role}`),
    showsFailure: true,
  });
  return (
    <FormDialog title={t('roles.add')} submit={t('common.add')} form={form} action={action} onClose={onClose}>
      <TextInput
        label={t('common.name')}
        description={t('roles.nameRule')}
        required
        data-autofocus
        {...form.getInputProps('role')}
      />
      <MultiSelect
        label={t('roles.permissions')}
        data={permissions.map((right) => ({ value: keyOf(right), label: nameOf(right) }))}
        searchable
        required
        {...form.getInputProps('rights')}
      />
    </FormDialog>
  );
}
