import {
  Button,
  Code,
  CopyButton,
  Group,
  NumberInput,
  SimpleGrid,
  Stack,
  Switch,
  Text,
  TextInput,
} from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconCheck, IconCopy, IconDownload } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import type { Cluster } from '@/api/clusters';
import { Copyable } from '@/components/Copyable';
import { Panel } from '@/components/Panel';
import { save } from '@/components/save';
import { told } from '@/forms/problem';
import { nodeLabel, whole } from '@/forms/rules';
import { fileName, helmValues, installLine, type Place } from './helm';

const port = whole(1, 65_535);

/** The ready file of values of a cluster. */
export function HelmValues({ cluster }: { cluster: Cluster }) {
  const { t } = useTranslation();
  const form = useForm<Place>({
    initialValues: { host: window.location.hostname, restPort: 8080, grpcPort: 65_003, pin: false, nodes: '' },
    validateInputOnChange: true,
    validate: { restPort: told(t, port), grpcPort: told(t, port), nodes: told(t, nodeLabel) },
  });
  const text = helmValues(cluster, form.values);
  return (
    <Panel
      title={t('helm.file', { name: cluster.name })}
      text={t('helm.text')}
      actions={<Actions text={text} name={fileName(cluster)} />}
    >
      <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
        <TextInput label={t('helm.host')} description={t('helm.hostHelp')} {...form.getInputProps('host')} />
        <NumberInput label={t('helm.restPort')} {...form.getInputProps('restPort')} />
        <NumberInput label={t('helm.grpcPort')} {...form.getInputProps('grpcPort')} />
        <TextInput label={t('helm.nodes')} description={t('helm.nodesHelp')} {...form.getInputProps('nodes')} />
      </SimpleGrid>
      <Switch
        label={t('helm.pin')}
        description={t('helm.pinText')}
        {...form.getInputProps('pin', { type: 'checkbox' })}
      />
      <Code block tabIndex={0}>
        {text}
      </Code>
      <Stack gap={4}>
        <Text size="sm" c="dimmed">
          {t('helm.install')}
        </Text>
        <Copyable value={installLine(cluster)} label={t('helm.install')} />
      </Stack>
    </Panel>
  );
}

function Actions({ text, name }: { text: string; name: string }) {
  const { t } = useTranslation();
  return (
    <Group gap="xs">
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <Button
            variant="default"
            onClick={copy}
            leftSection={copied ? <IconCheck size={16} aria-hidden /> : <IconCopy size={16} aria-hidden />}
          >
            {copied ? t('common.copied') : t('common.copy')}
          </Button>
        )}
      </CopyButton>
      <Button leftSection={<IconDownload size={16} aria-hidden />} onClick={() => save(name, text)}>
        {t('common.download')}
      </Button>
    </Group>
  );
}
