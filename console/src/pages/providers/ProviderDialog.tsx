import { PasswordInput, Textarea, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { createProvider, PROVIDERS, updateProvider, type Provider } from '@/api/providers';
import { FormDialog } from '@/forms/FormDialog';
import { told } from '@/forms/problem';
import { length } from '@/forms/rules';
import { useAction } from '@/forms/useAction';
import {
  changeOf,
  creationOf,
  issuerOf,
  optionalUrl,
  providerName,
  usualRedirect,
  valuesOf,
  type ProviderValues,
} from './providerValues';

interface Props {
  /** The one that is changed, whose name and place stay; none: one is made. */
  provider: Provider | null;
  onClose: () => void;
}

export function ProviderDialog({ provider, onClose }: Props) {
  const { t } = useTranslation();
  const { origin } = window.location;
  const credential = told(t, length(1, 256, 'providers.credentialLength'));
  const form = useForm<ProviderValues>({
    initialValues: valuesOf(provider),
    validateInputOnChange: true,
    validate: {
      name: told(t, providerName),
      clientId: credential,
      clientSecret: (secret) => (provider && secret === '' ? null : credential(secret)),
      issuer: (issuer, { name }) => told(t, issuerOf(name))(issuer),
      redirectUrl: told(t, optionalUrl),
    },
  });
  const action = useAction({
    run: (values: ProviderValues) =>
      provider ? updateProvider(provider.id, changeOf(values, origin)) : createProvider(creationOf(values, origin)),
    changes: [PROVIDERS],
    done: t('common.saved'),
    showsFailure: true,
  });
  return (
    <FormDialog
      title={provider?.name ?? t('providers.add')}
      submit={t('common.save')}
      form={form}
      action={action}
      onClose={onClose}
    >
      {!provider && (
        <>
          <TextInput
            label={t('common.name')}
            description={t('providers.nameHelp')}
            required
            data-autofocus
            {...form.getInputProps('name')}
          />
          <TextInput
            label={t('providers.issuer')}
            description={t('providers.issuerHelp')}
            {...form.getInputProps('issuer')}
          />
        </>
      )}
      <TextInput label={t('providers.clientId')} required {...form.getInputProps('clientId')} />
      <PasswordInput
        label={t('providers.clientSecret')}
        description={provider ? t('providers.secretStays') : undefined}
        required={!provider}
        autoComplete="off"
        {...form.getInputProps('clientSecret')}
      />
      <TextInput
        label={t('providers.redirectUrl')}
        description={t('providers.redirectHelp')}
        placeholder={usualRedirect(origin, form.values.name)}
        {...form.getInputProps('redirectUrl')}
      />
      <Textarea
        label={t('providers.domains')}
        description={t('providers.domainsHelp')}
        autosize
        minRows={2}
        maxRows={8}
        {...form.getInputProps('domains')}
      />
      <TextInput label={t('common.description')} {...form.getInputProps('bio')} />
    </FormDialog>
  );
}
