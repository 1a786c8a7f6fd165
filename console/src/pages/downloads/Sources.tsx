import { Group, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { bytes } from '@/components/format';
import classes from './Sources.module.css';
import { SOURCES, type Source } from './story';

/** Where the bytes of a pull came from: a bar, and the same in words. */
export function Sources({ of }: { of: Record<Source, number> }) {
  const { t } = useTranslation();
  const known = SOURCES.filter((source) => of[source] > 0);
  const total = known.reduce((sum, source) => sum + of[source], 0);
  if (total === 0) {
    return <Text size="sm">{t('common.none')}</Text>;
  }
  return (
    <Stack gap={4} miw={150}>
      <div className={classes.bar} aria-hidden>
        {known.map((source) => (
          <span
            key={source}
            className={classes.part}
            data-source={source}
            style={{ width: `${(of[source] / total) * 100}%` }}
          />
        ))}
      </div>
      <Group gap="xs">
        {known.map((source) => (
          <Group key={source} gap={4} wrap="nowrap">
            <span className={classes.swatch} data-source={source} aria-hidden />
            <Text size="xs" className="whole">
              {t(`downloads.sources.${source}`)} {bytes(of[source])}
            </Text>
          </Group>
        ))}
      </Group>
    </Stack>
  );
}
