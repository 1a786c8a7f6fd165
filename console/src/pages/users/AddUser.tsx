import { PasswordInput, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { useNavigate } from 'react-router';
import { USERS, createUser } from '@/api/access';
import { FormDialog } from '@/forms/FormDialog';
import { told } from '@/forms/problem';
import { email, length } from '@/forms/rules';
import { useAction } from '@/forms/useAction';

export function AddUser({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const form = useForm({
    initialValues: { name: '', email: '', password: '' },
    validateInputOnChange: true,
    validate: {
      name: told(t, length(3, 10, 'users.nameLength')),
      email: told(t, email),
      password: told(t, length(8, 20, 'session.passwordLength')),
    },
  });
  const action = useAction({
    run: (values: typeof form.values) => createUser(values),
    changes: [USERS],
    onDone: ({ id }) => void navigate(`/users/${id}`),
    showsFailure: true,
  });
  return (
    <FormDialog title={t('users.add')} submit={t('common.add')} form={form} action={action} onClose={onClose}>
      <TextInput
        label={t('common.name')}
        description={t('users.nameLength')}
        autoComplete="off"
        required
        data-autofocus
        {...form.getInputProps('name')}
      />
      <TextInput label={t('users.email')} type="email" autoComplete="off" {...form.getInputProps('email')} />
      <PasswordInput
        label={t('users.password')}
        description={t('users.passwordHelp')}
        autoComplete="new-password"
        required
        {...form.getInputProps('password')}
      />
    </FormDialog>
  );
}
